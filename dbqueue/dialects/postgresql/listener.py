"""LISTEN on a connection of its own."""

import logging
import math
import time
from typing import Any

import psycopg
from django.db import Error, connections

from dbqueue.dialects.listener import FIRST_RETRY, NullListener
from dbqueue.dialects.postgresql.libpq import KEEPALIVES
from dbqueue.dialects.postgresql.statements import (
    CHANNEL,
    ENDS,
    LISTEN,
    PING,
)

logger = logging.getLogger(__name__)

# Seconds between two self-tests, and how long one may take. A pooler in transaction
# mode or a half-open connection accepts LISTEN and never delivers.
TEST_INTERVAL = 10.0
TEST_PATIENCE = 5.0
# Each attempt waits twice as long as the one before it, up to this many seconds.
LONGEST_RETRY = 300.0
_PING = "\x01ping"  # no queue can be called so: names are printable


class PostgreSQLListener(NullListener):
    """One LISTEN connection of its own, which tests itself and never raises."""

    def __init__(self, alias: str, channel: str = CHANNEL) -> None:
        self._alias = alias
        self._channel = channel
        self._connection: Any = None
        self._test_at = self._retry_at = 0.0
        self._pinged_at: float | None = None
        self._retry = FIRST_RETRY
        self._warned = False

    def open(self) -> None:
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

    def received(self) -> set[str]:
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
            self._test_passed()
        return payloads - {_PING}

    def close(self) -> None:
        self.is_listening = False
        self._pinged_at = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        params = connections[self._alias].get_connection_params()
        params |= KEEPALIVES
        params.pop("pool", None)
        self._connection = psycopg.connect(**params, autocommit=True)
        self._connection.execute(LISTEN.format(self._channel))
        self._ping()

    def _ping(self) -> None:
        self._pinged_at = time.monotonic()
        # By another connection: a pooler may lend an idle one the same session again,
        # which would hear itself.
        with connections[self._alias].cursor() as cursor:
            cursor.execute(PING, [self._channel, _PING])

    def _test_passed(self) -> None:
        self._pinged_at = None
        self._test_at = time.monotonic() + TEST_INTERVAL
        self._retry, self._warned = FIRST_RETRY, False
        if not self.is_listening:
            self.is_listening = True
            logger.debug("Listening for notifications")

    def _give_up(self, why: object) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        logger.log(level, "No notifications, polling faster: %s", str(why).strip())
        self._warned = True
        self.close()
        self._retry_at = time.monotonic() + self._retry
        self._retry = min(LONGEST_RETRY, self._retry * 2)


class EndListener(PostgreSQLListener):
    """Hears which jobs have ended that somebody waits for.

    It does not test itself: who waits looks at the job, too.
    """

    def __init__(self, alias: str) -> None:
        super().__init__(alias, ENDS)

    def _ping(self) -> None:
        self.is_listening = True
        self._test_at = math.inf
