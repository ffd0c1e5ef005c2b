"""Cursors of psycopg, kept: each new one learns afresh how to read each type."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


class Kept(threading.local):
    """One cursor a thread, lent for one statement at a time.

    It holds the last statement and its answer until the next one.
    """

    def __init__(self) -> None:
        # The driver's connection in which the server is to keep plans.
        self.own_session: Any = None
        self._cursor: Any = None
        self._made_for: tuple[Any, ...] = ()

    @contextmanager
    def lent(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Lend what `connection.cursor()` would return."""
        if connection.queries_logged or not _are_djangos(connection):
            with connection.cursor() as cursor:  # which writes values into what it logs
                yield cursor
            return
        connection.validate_thread_sharing()
        connection.close_if_health_check_failed()
        connection.ensure_connection()
        raw: Any = connection.connection
        zone = raw.pgconn.parameter_status(b"TimeZone")
        made_for = raw, raw is self.own_session, connection.timezone, zone
        # Taken away: a hook of the project's may come back here, and a statement fail.
        kept, self._cursor = self._cursor, None
        if kept is None or self._made_for != made_for:
            kept, self._made_for = self._made(connection), made_for
        yield connection.make_cursor(kept)
        self._cursor = kept

    def _made(self, connection: BaseDatabaseWrapper) -> Any:
        raw: Any = connection.connection
        if raw is not self.own_session:
            made: Any = connection.cursor()
            return made.cursor  # without Django's wrapper
        # Django's own writes values into the statement's text, each time another.
        raw.prepare_threshold = 1
        return getattr(connection, "Database").Cursor(raw)  # noqa: B009  not in the stubs


def _are_djangos(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection makes its cursors as Django does.

    Others do more with each one: they choose a tenant's schema, or count.
    """
    backend: Any = type(connection)
    # In an instance, it is that of a test that forbids queries, or of a tool.
    return "cursor" not in vars(connection) and _is_djangos(backend)


@cache
def _is_djangos(backend: type[BaseDatabaseWrapper]) -> bool:
    from django.db.backends.postgresql.base import DatabaseWrapper

    return all(
        getattr(backend, name) is getattr(DatabaseWrapper, name)
        for name in ("cursor", "_cursor", "create_cursor")
    )
