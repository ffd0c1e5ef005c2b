"""What is asked of a connection of libpq's, past Django and SQL."""

import logging
import os
import socket
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from dbqueue.dialects.postgresql.statements import WATCH_CLIENT

logger = logging.getLogger(__name__)

KEEPALIVES = {
    "keepalives_idle": 5,  # seconds
    "keepalives_interval": 2,  # seconds
    "keepalives_count": 3,
}
# The kernel waits two hours for an idle peer, and a quarter of an hour for one that
# should answer.
CONNECTION_TIMEOUTS = {
    **KEEPALIVES,
    "connect_timeout": 10,  # seconds
    "tcp_user_timeout": 12_000,  # milliseconds
}
IDLE = 0  # PQTRANS_IDLE


def set_timeouts(connection: BaseDatabaseWrapper) -> None:
    """See Dialect.prepare()."""
    options = connection.settings_dict["OPTIONS"]
    for name, value in CONNECTION_TIMEOUTS.items():
        options.setdefault(name, value)


def pool_size(connection: BaseDatabaseWrapper) -> int | None:
    """Return how many connections the driver's pool may hold; None: there is none."""
    pool = connection.settings_dict.get("OPTIONS", {}).get("pool")
    if not pool:
        return None
    given = pool if isinstance(pool, dict) else {}
    least = given.get("min_size", 4)  # psycopg's default
    return int(given.get("max_size") or least)


def cancel(raw: Any, seconds: float) -> None:
    """See Dialect.cancel(). A pooler hands it on, whichever session it has lent."""
    import psycopg  # not at the top: projects on SQLite do without

    # Older than version 17, libpq would wait for the server for as long as it takes.
    if raw is not None and psycopg.capabilities.has_cancel_safe():
        try:
            raw.cancel_safe(timeout=seconds)
        except (psycopg.Error, OSError) as error:
            logger.debug("A statement cannot be cancelled: %s", error)


def abort(raw: Any) -> None:
    """See Dialect.abort()."""
    if raw is not None and not raw.closed:
        with socket.socket(fileno=os.dup(raw.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def watch_client(raw: Any, seconds: float) -> None:
    """See Dialect.watch_client(). What the server or the role says stays."""
    info = getattr(raw, "info", None)
    # A pooler introduces itself as another process than the one that answers.
    if info is not None and getattr(raw, "autocommit", False):
        raw.execute(WATCH_CLIENT, [str(int(seconds * 1000)), info.backend_pid])


def is_idle(raw: Any) -> bool:
    """See Dialect.driver_is_idle()."""
    return not raw.closed and raw.pgconn.transaction_status == IDLE
