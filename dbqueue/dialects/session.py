"""Whether a session keeps something that was done in it; noted at the driver."""

import os
from typing import Any

# What these do is over with the transaction, or is there for all sessions.
PLAIN_VERBS = frozenset(
    [
        "abort",
        "analyze",
        "begin",
        "close",
        "commit",
        "copy",
        "delete",
        "end",
        "fetch",
        "insert",
        "lock",
        "merge",
        "move",
        "notify",
        "release",
        "replace",
        "rollback",
        "savepoint",
        "select",
        "show",
        "start",
        "table",
        "truncate",
        "update",
        "values",
        "with",
    ]
)


class Session:
    """What was done to one open connection of the driver's since it was made.

    Of a database that is not supported, what Django's cursors execute is known.
    """

    def __init__(self, connection: Any) -> None:
        self.raw = connection.connection
        self.altered = False
        self._watch(connection)

    @staticmethod
    def path(connection: Any) -> str | None:
        """Return the path of the database's file, if it is one."""
        return None

    def is_altered(self) -> bool:
        """Tell whether the session may keep something; it is in no transaction."""
        return self.altered

    def _watch(self, connection: Any) -> None:
        # Django takes its own from the end.
        connection.execute_wrappers.insert(0, self._note)

    def _note(self, execute: Any, sql: Any, *more: Any) -> Any:
        words = sql.split(None, 1) if isinstance(sql, str) else []
        if not words or words[0].lower() not in PLAIN_VERBS:
            self.altered = True
        return execute(sql, *more)


def file_at(path: str | None) -> tuple[int, int] | None:
    """Return what identifies the file that is at the path now, if there is one."""
    try:
        found = None if path is None else os.stat(path)
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def attributes(thing: Any, passing: dict[str, None]) -> dict[str, Any]:
    """Return what an object holds but for what passes; see kept()."""
    held: dict[str, Any] = vars(thing)
    return held | passing


def kept(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a copy, to be compared with what is there later."""
    return {
        name: value.copy() if isinstance(value, dict | list | set) else value
        for name, value in attributes.items()
    }
