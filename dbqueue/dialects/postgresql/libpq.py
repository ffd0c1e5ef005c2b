"""What is asked of a connection of libpq's, past Django and SQL."""

import os
import socket
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

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
    """See Dialect.set_timeouts()."""
    options = connection.settings_dict["OPTIONS"]
    for name, value in CONNECTION_TIMEOUTS.items():
        options.setdefault(name, value)


def abort(raw: Any) -> None:
    """See Dialect.abort()."""
    if raw is not None and not raw.closed:
        with socket.socket(fileno=os.dup(raw.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


def is_idle(raw: Any) -> bool:
    """See Dialect.driver_is_idle()."""
    return not raw.closed and raw.pgconn.transaction_status == IDLE
