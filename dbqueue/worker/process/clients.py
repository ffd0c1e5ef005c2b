"""What servers are told of this process, so that they notice its end."""

import logging
from typing import Any
from weakref import WeakSet

from django.db import Error
from django.db.backends.signals import connection_created

from dbqueue import dialects

logger = logging.getLogger(__name__)

# Seconds between looks of a server whether the one that asked is still there.
INTERVAL = 1.0

_told: WeakSet[Any] = WeakSet()  # a pool lends the same one again and again


def announce() -> None:
    """Have servers end what this process is asking when it is killed."""
    connection_created.connect(_tell)


def _tell(connection: Any, **kwargs: Any) -> None:
    raw = connection.connection
    kind = dialects.kind_of(connection)
    if kind.is_remote and raw not in _told:
        _told.add(raw)
        try:
            with connection.wrap_database_errors:
                kind.watch_client(raw, INTERVAL)
        except Error as error:  # such as on a system where it cannot look
            logger.debug("The server does not look after its clients: %s", error)
