"""Hearing of new work; polling is the guarantee, this is only the speed."""

import logging
import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import Any

from django.db import Error, connections

logger = logging.getLogger(__name__)

CHANNEL = "dbqueue"
# Seconds between two self-tests, and how long one may take. A pooler in transaction
# mode or a half-open connection accepts LISTEN and never delivers.
TEST_INTERVAL = 10.0
TEST_PATIENCE = 5.0
# Seconds until another attempt, twice as long each time, up to LONGEST_RETRY.
FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0
# Looks at SQLite without a commit after which a listener looks half as often.
LULL = 100
# Instead of a queue's name: something was written, and nobody knows what.
ANYTHING = "*"
_PING = "\x01ping"  # no queue can be called so: names are printable


class Silence:
    """The listener where nothing is to be heard."""

    hears = False

    def open(self) -> None:
        """Connect, or test the connection, if it is time to."""

    def raw(self) -> list[Any]:
        """Return the driver's connection, if there is one."""
        return []

    def fileno(self) -> int | None:
        """Return the descriptor to select() on, if there is one."""
        return None

    def heard(self) -> set[str]:
        """Return the queues that were announced since the last call."""
        return set()

    def close(self) -> None:
        """Disconnect."""


class PostgreSQLListener(Silence):
    """One LISTEN connection of its own, which tests itself and never raises."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._connection: Any = None
        self._test_at = self._retry_at = 0.0
        self._pinged_at: float | None = None
        self._retry = FIRST_RETRY
        self._told = False

    def open(self) -> None:
        import psycopg

        now = time.monotonic()
        try:
            if self._connection is None:
                if now >= self._retry_at:
                    self._connect()
            elif self._pinged_at is not None and now > self._pinged_at + TEST_PATIENCE:
                self._give_up("notifications do not arrive")
            elif self._pinged_at is None and now >= self._test_at:
                self._ping()
        except (psycopg.Error, Error, OSError) as error:
            self._give_up(error)

    def raw(self) -> list[Any]:
        return [] if self._connection is None else [self._connection]

    def fileno(self) -> int | None:
        return None if self._connection is None else self._connection.fileno()

    def heard(self) -> set[str]:
        import psycopg

        if self._connection is None:
            return set()
        # libpq's own calls: psycopg's notifies() takes longer.
        raw, payloads = self._connection.pgconn, set()
        try:
            raw.consume_input()
            while (notify := raw.notifies()) is not None:
                payloads.add(notify.extra.decode(errors="replace"))
        except (psycopg.Error, OSError) as error:
            self._give_up(error)
            return set()
        if _PING in payloads:
            self._passed()
        return payloads - {_PING}

    def close(self) -> None:
        self.hears = False
        self._pinged_at = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        import psycopg

        params = connections[self._alias].get_connection_params()
        params |= {
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        }
        params.pop("pool", None)
        self._connection = psycopg.connect(**params, autocommit=True)
        self._connection.execute(f"LISTEN {CHANNEL}")
        self._ping()

    def _ping(self) -> None:
        self._pinged_at = time.monotonic()
        # By another connection: a pooler may lend an idle one the same session again,
        # which would hear itself.
        with connections[self._alias].cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, _PING])

    def _passed(self) -> None:
        self._pinged_at = None
        self._test_at = time.monotonic() + TEST_INTERVAL
        self._retry, self._told = FIRST_RETRY, False
        if not self.hears:
            self.hears = True
            logger.debug("Listening for notifications")

    def _give_up(self, why: object) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        logger.log(level, "No notifications, polling faster: %s", str(why).strip())
        self._told = True
        self.close()
        self._retry_at = time.monotonic() + self._retry
        self._retry = min(LONGEST_RETRY, self._retry * 2)


class SQLiteListener(Silence):
    """A thread that looks whether anybody else has committed anything.

    SQLite counts the commits of a file. To read the counter takes a few microseconds,
    so that one process may look often for all of a worker's.
    """

    def __init__(self, alias: str, interval: float) -> None:
        self._alias = alias
        self._interval = interval
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="dbqueue-listener", daemon=True
            )
            self._thread.start()

    def fileno(self) -> int | None:
        return self._reader

    def heard(self) -> set[str]:
        try:
            return {ANYTHING} if os.read(self._reader, 65_536) else set()
        except BlockingIOError:
            return set()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        wrapper: Any = connections[self._alias]
        while not self._closed.is_set():
            try:
                raw = wrapper.get_new_connection(wrapper.get_connection_params())
                with closing(raw):
                    self._look(raw)
            except (sqlite3.Error, Error) as error:
                if self.hears:
                    logger.warning("Commits are not seen, polling: %s", error)
                self.hears = False
                self._closed.wait(FIRST_RETRY)

    def _look(self, raw: sqlite3.Connection) -> None:
        seen, quiet = None, 0
        while not self._closed.is_set():
            # To sleep is less dear than to wait for the event.
            time.sleep(self._interval * (1 if quiet < LULL else 2))
            quiet += 1
            ((version,),) = raw.execute("PRAGMA data_version")
            self.hears = True
            if version != seen:
                seen, quiet = version, 0
                with suppress(BlockingIOError):  # full: it will wake anyway
                    os.write(self._writer, b"!")
