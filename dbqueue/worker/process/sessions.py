"""What a job left on a connection, by comparison with how it was made."""

from collections.abc import Collection
from copy import deepcopy
from typing import Any

from django.db import connections
from django.utils.functional import cached_property

from dbqueue import dialects
from dbqueue.dialects.session import attributes, kept
from dbqueue.worker.process.files import file_of

# Of Django's connection: what plain statements and transactions change, what tidy()
# asks of it itself, and what needs no look.
_PASSING = dict.fromkeys(
    [
        "client",
        "close_at",
        "closed_in_transaction",
        "commit_on_exit",
        "connection",
        "creation",
        "errors_occurred",
        "features",
        "health_check_done",
        "health_check_enabled",
        "introspection",
        "ops",
        "queries_log",
        "rollback_exc",
        "savepoint_state",
        "settings_dict",
        "validation",
        "_named_cursor_idx",
        "_thread_sharing_lock",
    ]
)
_settings: dict[str, dict[str, Any]] = {}


class Made:
    """A connection as it was made, before any job used it.

    `wrappers_before` are those of execute() that it had before it was opened.
    """

    def __init__(self, connection: Any, *, wrappers_before: Collection[Any]) -> None:
        self._session = dialects.kind_of(connection).session(connection)
        self._wrapper = connection
        self.raw = connection.connection
        self.file = file_of(connection)
        self._was = kept(attributes(connection, _PASSING))
        self._was["execute_wrappers"] = [
            wrapper
            for wrapper in connection.execute_wrappers
            if wrapper not in wrappers_before
        ]
        if connection.alias not in _settings:  # in a worker without a supervisor
            keep_settings(connection)

    def is_altered(self) -> bool:
        """Tell whether a job left anything behind; there is no transaction."""
        return (
            self._wrapper.connection is not self.raw
            or not self._is_as_made()
            or self._session.is_altered()
        )

    def _is_as_made(self) -> bool:
        now = attributes(self._wrapper, _PASSING)
        if now != self._was:
            # Django adds what it has to work out only once.
            kind, more = type(self._wrapper), now.keys() - self._was.keys()
            for name in more:
                if isinstance(getattr(kind, name, None), cached_property):
                    self._was[name] = now[name]
        return now == self._was


def keep_settings(connection: Any) -> None:
    """Remember what the entry of DATABASES says, before any job."""
    _settings[connection.alias] = deepcopy(connection.settings_dict)


def restore_settings(connection: Any) -> bool:
    """Have an entry of DATABASES say what it said before; return whether it changed."""
    kept, held = _settings.get(connection.alias), connection.settings_dict
    ours = connections.settings.get(connection.alias, held)
    if kept is None or (held is ours and held == kept):
        return False
    ours.clear()
    ours.update(deepcopy(kept))
    connection.settings_dict = ours
    return True
