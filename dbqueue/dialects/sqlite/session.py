"""What a job may leave in a connection to an SQLite file.

SQLite asks, when it compiles a statement, whether each of its actions is allowed: that
is heard whoever sends it, and costs a statement that sqlite3 keeps nothing. What is set
through the driver itself is noted by a subclass of its connection.
"""

import sqlite3
from collections.abc import Callable
from functools import cache, wraps
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db.backends.base.base import BaseDatabaseWrapper

from dbqueue.dialects.session import Session

# Of the driver's connection; anything else that can be called may set something.
_QUIET = frozenset(
    [
        "backup",
        "blobopen",
        "close",
        "commit",
        "cursor",
        "execute",
        "executemany",
        "executescript",
        "getconfig",
        "getlimit",
        "interrupt",
        "iterdump",
        "rollback",
        "serialize",
    ]
)
_SETTINGS = ("autocommit", "isolation_level", "row_factory", "text_factory")
_LASTING = (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH)
_FUNCTIONS = ("fts3_tokenizer", "load_extension")
# These ask or work; with a value, any other may set something.
_ASKING = frozenset(
    [
        "foreign_key_check",
        "foreign_key_list",
        "incremental_vacuum",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "optimize",
        "quick_check",
        "table_info",
        "table_list",
        "table_xinfo",
        "wal_checkpoint",
    ]
)


class SQLiteSession(Session):
    @staticmethod
    def path(connection: Any) -> str | None:
        name = str(connection.settings_dict["NAME"])
        if connection.creation.is_in_memory_db(name):
            return None
        return unquote(urlsplit(name).path) if name.startswith("file:") else name

    def is_altered(self) -> bool:
        return self.altered or self._settings() != self._were

    def _watch(self, connection: Any) -> None:
        if not isinstance(self.raw, sqlite3.Connection):  # of another driver
            super()._watch(connection)
            self._were = self._settings()
            return
        if isinstance(self.raw, _Watched):
            self.raw.session = None  # not for what comes next
        self.raw.set_authorizer(self._authorize)
        if isinstance(self.raw, _Watched):
            self.raw.session = self
        self._were = self._settings()

    def _settings(self) -> list[Any]:
        return [getattr(self.raw, name, None) for name in _SETTINGS]

    def _authorize(
        self, action: int, first: str | None, second: str | None, database: Any, by: Any
    ) -> int:
        if (
            action in _LASTING
            or (action == sqlite3.SQLITE_PRAGMA and second and first not in _ASKING)
            or (action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS)
            or database == "temp"
        ):
            self.altered = True
        return sqlite3.SQLITE_OK


class _Watched:
    """A connection of the driver's that tells its session what is set on it."""

    session: Session | None = None


def watch_driver(connection: BaseDatabaseWrapper) -> None:
    """Have connections that are made from now on note what is set on them."""
    options = connection.settings_dict["OPTIONS"]
    if getattr(connection, "Database", None) is sqlite3.dbapi2:
        options["factory"] = watched(options.get("factory", sqlite3.Connection))


@cache
def watched(kind: Any) -> Any:
    """Return a subclass of the driver's connection that notes what is set on it."""
    if isinstance(kind, type) and issubclass(kind, _Watched):
        return kind
    setters = {
        name: _noting(method)
        for name in dir(kind)
        if not (name.startswith("_") or name in _QUIET)
        and callable(method := getattr(kind, name))
        and not isinstance(method, type)
    }
    return type(kind.__name__, (_Watched, kind), setters)


def _noting(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.session is not None:
            self.session.altered = True
        return method(self, *args, **kwargs)

    return note
