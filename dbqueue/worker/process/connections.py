"""The database connections of a worker's threads, and what a job leaves of them."""

import logging
import threading
from typing import Any

from django.db import Error, connections
from django.db.backends.signals import connection_created

from dbqueue import dialects
from dbqueue.worker.process.watchdog import PATIENCE

logger = logging.getLogger(__name__)

# Seconds that the worker's own transactions, which last milliseconds, may idle.
IDLING = 8.0
# Seconds that its statements may wait for a lock, and take: less than the watchdog's
# patience, or the server would go on with what nobody waits for any more.
WAITING = 5.0
ANSWERING = PATIENCE - 1.0


def tidy() -> None:
    """Make this thread's connections, if it ever had one, fit for the next job.

    One that is in a transaction, closed, broken or altered is dropped; a sound one
    stays, as reconnecting would cost each job milliseconds. CONN_MAX_AGE above 0 is
    kept.
    """
    if not _connected.ever:
        return
    for connection in connections.all(initialized_only=True):
        if connection.connection is None:
            continue
        try:
            _tidy(connection)
        except Error as error:
            logger.warning("A job left a broken connection behind: %s", error)
            del connections[connection.alias]


def close_all() -> None:
    """Close this thread's connections and this process's pools.

    What a fork inherits of them would be one socket for two processes.
    """
    connection: Any
    for connection in connections.all(initialized_only=True):
        connection.close()
        if _is_pooled(connection):
            connection.close_pool()


def drop(alias: str) -> None:
    """Close this thread's connection. What is set in its session stays in no pool."""
    connection: Any = connections[alias]
    if connection.connection is not None and _is_pooled(connection):
        connection.connection.close()
    connection.close()


def set_connection_timeouts() -> None:
    """Let connections that this process and its children open notice a lost network.

    What OPTIONS say stays.
    """
    for connection in connections.all():
        dialects.kind_of(connection).set_timeouts(connection)


def _is_pooled(connection: Any) -> bool:
    return bool(connection.settings_dict["OPTIONS"].get("pool"))


def prepare_sessions(*, waiting: float = WAITING) -> None:
    """Prepare the sessions that this thread opens from now on for a worker's loop.

    The server ends a transaction that falls silent in the middle: it would keep its
    locks, and other sessions waiting for them. It ends a statement that waits `waiting`
    seconds for a lock: cut connections would pile up behind the lock of a migration.
    """
    _connected.waiting = waiting


def _note_connection(connection: Any, **kwargs: Any) -> None:
    _connected.ever = True
    if _connected.waiting is not None:
        dialects.of(connection.alias).prepare_session(
            idling=IDLING, waiting=_connected.waiting, answering=ANSWERING
        )
    elif _note_alteration not in connection.execute_wrappers:
        # Django takes its own from the end.
        connection.execute_wrappers.insert(0, _note_alteration)


def _note_alteration(
    execute: Any, sql: Any, params: Any, many: Any, context: dict[str, Any]
) -> Any:
    if isinstance(sql, str) and dialects.alters_session(sql):
        _connected.altered.add(context["connection"].alias)
    return execute(sql, params, many, context)


class _Connected(threading.local):
    """What this thread has connected: connections.all() is slow beside a short job."""

    ever = False
    waiting: float | None = None  # of a loop: seconds for a lock

    def __init__(self) -> None:
        self.altered: set[str] = set()  # aliases whose session a job has altered


_connected = _Connected()
connection_created.connect(_note_connection)


def _tidy(connection: Any) -> None:
    connection.queries_log.clear()
    if connection.alias in _connected.altered or not dialects.is_idle(connection):
        _discard(connection)
    elif _is_pooled(connection):
        connection.close()  # to the pool, where other threads wait for it
    elif connection.errors_occurred or connection.settings_dict["CONN_MAX_AGE"]:
        connection.close_if_unusable_or_obsolete()


def _discard(connection: Any) -> None:
    # Django does not close inside an atomic block. The wrapper, with its memory of the
    # block, goes too; the thread makes itself a new one.
    connection.in_atomic_block = False
    _connected.altered.discard(connection.alias)
    connection.close()
    del connections[connection.alias]
