"""What a job may leave in a session of PostgreSQL.

All that psycopg sends it lets its connection wait for. What is sent is looked at there,
whoever sends it: Django's cursors, psycopg's own, a library. The server reports some
settings by itself, search_path among them from version 18. Only what is called on
libpq's connection below psycopg is not seen.
"""

from copy import copy
from functools import cache
from typing import Any

from dbqueue.dialects.postgresql.catalogue import Catalogue, catalogue_of
from dbqueue.dialects.postgresql.plain import words_if_plain
from dbqueue.dialects.session import Session, attributes, kept

# The name of what psycopg waits for, and where it has the statement.
_STATEMENTS = {
    "_execute_gen": "query",
    "_executemany_gen_no_pipeline": "query",
    "_executemany_gen_pipeline": "query",
    "_start_copy_gen": "statement",
    "_stream_send_gen": "query",
}
_DECLARE, _CLOSE = "_declare_gen", "_close_gen"
# These leave nothing, or what is compared: attributes of psycopg's.
_QUIET = frozenset(
    [
        "_commit_gen",
        "_end_copy_out_gen",
        "_enter_gen",
        "_exit_gen",
        "_fetch_gen",
        "_read_gen",
        "_read_row_gen",
        "_rollback_gen",
        "_scroll_gen",
        "_set_autocommit_gen",
        "_set_deferrable_gen",
        "_set_isolation_level_gen",
        "_set_read_only_gen",
        "_stream_fetchone_gen",
        "_sync_gen",
        "copy_end",
        "copy_to",
        "notifies",
    ]
)
_PASSING = dict.fromkeys(
    [
        "_begin_statement",
        "_notifies_backlog",
        "_num_transactions",
        "_adapters",
        "dbqueue_session",
        "lock",
    ]
)
# Whose values say whether a connection has adapters of its own.
_ADAPTERS = ("_own_dumpers", "_own_dumpers_by_oid", "_own_loaders")
# What the server reports of a session; one that it does not know stays None.
_REPORTED = tuple(
    name.encode()
    for name in (
        "DateStyle",
        "IntervalStyle",
        "TimeZone",
        "application_name",
        "client_encoding",
        "default_transaction_read_only",
        "is_superuser",
        "search_path",
        "session_authorization",
        "standard_conforming_strings",
    )
)


class PostgreSQLSession(Session):
    _new: dict[str, frozenset[str]]  # statements that are not judged yet
    _cursors: int  # of the server's, open
    _catalogue: Catalogue
    _wrap_errors: Any  # raises Django's errors for psycopg's

    def is_altered(self) -> bool:
        return (
            self.altered
            or self._cursors != 0
            or attributes(self.raw, _PASSING) != self._was
            or self.raw.prepare_threshold != self._threshold
            or self._adapters() != self._adapters_were
            or self._reported() != self._was_reported
            or not self._has_said_only_plain_things()
        )

    def _has_said_only_plain_things(self) -> bool:
        new, self._new = self._new, {}
        catalogue = self._catalogue
        with self._wrap_errors:
            known = all(catalogue.is_plain(self.raw, *item) for item in new.items())
        self._new = {}  # what the catalogue asked
        catalogue.expire()
        return known

    def _watch(self, connection: Any) -> None:
        self._cursors, self._new = 0, {}
        self._catalogue = catalogue_of(connection.alias)
        self._wrap_errors = connection.wrap_database_errors
        raw = self.raw
        try:
            if not hasattr(raw, "dbqueue_session"):
                raw.__class__ = _watched(raw.__class__)
            raw.dbqueue_session = self
        except (AttributeError, TypeError):
            self.altered = True  # somebody's own kind: it cannot be watched
        self._was = kept(attributes(raw, _PASSING))
        self._threshold = raw.prepare_threshold
        self._adapters_were = [copy(value) for value in self._adapters()]
        self._was_reported = self._reported()

    def _reported(self) -> list[bytes | None]:
        status = self.raw.pgconn.parameter_status
        return [status(name) for name in _REPORTED]

    def _adapters(self) -> list[Any]:
        return [getattr(self.raw.adapters, name, None) for name in _ADAPTERS]

    def note(self, waited_for: Any) -> None:
        """Look at what psycopg is about to do."""
        name = waited_for.__name__
        if name in _STATEMENTS:
            frame = waited_for.gi_frame
            self._note_statement(frame.f_locals[_STATEMENTS[name]])
        elif name == _DECLARE:
            self._cursors += 1
            self._note_statement(waited_for.gi_frame.f_locals["query"])
        elif name == _CLOSE:
            self._cursors -= 1
        elif name not in _QUIET:
            self.altered = True

    def _note_statement(self, sql: Any) -> None:
        if not isinstance(sql, str):
            sql = self._text(sql)
        if self.altered or sql in self._catalogue.plain:
            return
        words = words_if_plain(sql)
        if words is None:
            self.altered = True
        else:
            self._new[sql] = words

    def _text(self, sql: Any) -> str:
        """Return the text of a statement; "" if it is of a kind not known here."""
        if isinstance(sql, bytes):
            return sql.decode(errors="replace")
        return str(sql.as_string(self.raw)) if hasattr(sql, "as_string") else ""


@cache
def _watched(kind: Any) -> Any:
    """Return a subclass of psycopg's connection that tells what it sends."""

    class Watched(kind):  # type: ignore[misc]  # the base is known at run time only
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            self.dbqueue_session.note(gen)
            return super().wait(gen, *args, **kwargs)

    Watched.__name__, Watched.__qualname__ = kind.__name__, kind.__qualname__
    return Watched
