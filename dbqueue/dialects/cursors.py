"""Cursors of psycopg, kept: each new one learns afresh how to read each type."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# A plan that was made while a table was empty serves until somebody analyzes it. These
# make it the plan for a million rows, too: by the indexes, which have the order we ask.
_BY_INDEX = """
SELECT set_config(name, 'off', false) FROM unnest(
    '{enable_seqscan,enable_bitmapscan,enable_sort,jit}'::text[]) AS setting(name)
"""


class Kept(threading.local):
    """One cursor a thread, lent for one statement at a time.

    It holds the last statement and its answer until the next one.
    """

    def __init__(self) -> None:
        # Whether the server is to keep the plans of this thread's statements; to make
        # one takes it longer than to claim a job. None leaves that to the project.
        self.prepares: bool | None = None
        self._cursor: Any = None
        self._of: tuple[Any, ...] = ()

    @contextmanager
    def lent(self, connection: BaseDatabaseWrapper) -> Iterator[Any]:
        """Lend what `connection.cursor()` would return."""
        if "cursor" in vars(connection):
            # By a test that forbids queries, or a tool that watches them.
            with connection.cursor() as cursor:
                yield cursor
            return
        connection.close_if_health_check_failed()
        connection.ensure_connection()
        of = connection.connection, connection.timezone, self.prepares
        # Taken away: a hook of the project's may come back here, and a statement fail.
        kept, self._cursor = self._cursor, None
        if kept is None or self._of != of:
            kept, self._of = self._made(connection), of
        if connection.queries_logged:
            yield connection.make_debug_cursor(kept)
        else:
            yield connection.make_cursor(kept)
        self._cursor = kept

    def _made(self, connection: BaseDatabaseWrapper) -> Any:
        made: Any = connection.cursor().cursor  # without Django's wrapper
        raw: Any = connection.connection
        if self.prepares is not None:
            raw.prepare_threshold = 1 if self.prepares else None
        if not self.prepares:
            return made
        raw.execute(_BY_INDEX)
        # Django's own writes values into the statement's text, each time another.
        return getattr(connection, "Database").Cursor(raw)  # noqa: B009  not in the stubs
