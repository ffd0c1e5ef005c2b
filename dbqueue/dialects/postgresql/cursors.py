"""The cursor of a worker's own session, kept: a new one rebuilds its type loaders."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

PREPARE_THRESHOLD = 1  # executions of a statement until the server keeps its plan


class OwnSession(threading.local):
    """This thread's session, if it is a worker's own, and the one cursor on it.

    The cursor holds the last statement and its answer until the next one.
    """

    def __init__(self) -> None:
        self.raw: Any = None  # the driver's connection
        self._cursor: Any = None

    def begin(self, connection: BaseDatabaseWrapper) -> None:
        """Keep a cursor on the connection, and have the server keep plans."""
        self.raw = connection.connection
        self.raw.prepare_threshold = PREPARE_THRESHOLD
        self._cursor = _new_cursor(connection)

    @contextmanager
    def cursor(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Lend what `connection.cursor()` would return, for one statement."""
        # Taken away: a hook of the project's may come back here, and a statement fail.
        kept, self._cursor = self._cursor, None
        if kept is None:
            kept = _new_cursor(connection)
        yield connection.make_cursor(kept)
        self._cursor = kept

    @contextmanager
    def cursor_for_large(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Lend a cursor for one statement with large values, which nothing keeps.

        psycopg keeps the texts of the last hundred statements that it prepares, or
        counts to prepare; and the cursor that is kept would hold the values.
        """
        self.raw.prepare_threshold = None
        try:
            with _new_cursor(connection) as driver_cursor:
                yield connection.make_cursor(driver_cursor)
        finally:
            self.raw.prepare_threshold = PREPARE_THRESHOLD


def _new_cursor(connection: BaseDatabaseWrapper) -> Any:
    # Django's own writes values into the statement's text, each time another.
    driver: Any = getattr(connection, "Database")  # noqa: B009  not in the stubs
    return driver.Cursor(connection.connection)


def makes_plain_cursors(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection makes its cursors as Django does.

    Others do more with each one: they choose a tenant's schema, or count.
    """
    from django.db.backends.postgresql.base import DatabaseWrapper  # needs psycopg

    # Of the instance: Django's TestCase puts its methods back there.
    return all(
        getattr(getattr(connection, name), "__func__", None)
        is getattr(DatabaseWrapper, name)
        for name in ("cursor", "_cursor", "create_cursor")
    )
