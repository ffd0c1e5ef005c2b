"""The database connections of a worker's threads, and what a job leaves of them."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from dbqueue import dialects
from dbqueue.worker.process.files import file_of, files
from dbqueue.worker.process.sessions import Made, keep_settings, restore_settings
from dbqueue.worker.process.watchdog import PATIENCE

logger = logging.getLogger(__name__)

# Seconds that the worker's own transactions, which last milliseconds, may idle.
IDLING = 8.0
# Seconds that its statements may wait for a lock, and take: less than the watchdog's
# patience, or the server would go on with what nobody waits for any more.
WAITING = 5.0
ANSWERING = PATIENCE - 1.0


def tidy() -> None:
    """Make this thread's connections, if it has any, fit for the next job.

    One that is in a transaction, closed, broken or altered is dropped; a sound one
    stays, as reconnecting would cost each job milliseconds. CONN_MAX_AGE above 0 is
    kept.
    """
    for alias, connection in _mine():
        _leave_clean(_tidy, alias, connection)


def renew() -> None:
    """Close this thread's connections whose file was replaced; to be called in time.

    That is after the loop has seen it, and before a job that may be of the new file.
    """
    if _connected.generation == files.generation:
        return
    _connected.generation = files.generation
    for alias, connection in _mine():
        _leave_clean(_renew, alias, connection)


def close_all() -> None:
    """Close this thread's connections and this process's pools.

    What a fork inherits of them would be one socket for two processes.
    """
    connection: Any
    for connection in connections.all(initialized_only=True):
        connection.close()
        if _is_pooled(connection):
            connection.close_pool()
    files.forget()


def drop(alias: str) -> None:
    """Close this thread's connection. What is set in its session stays in no pool."""
    _drop(connections[alias])


def _drop(connection: Any) -> None:
    if connection.connection is not None and _is_pooled(connection):
        connection.connection.close()
    connection.close()


def prepare_connections() -> None:
    """Prepare what this process and its children connect from now on.

    A lost network is noticed, and what a job sets. What OPTIONS say stays.
    """
    for connection in connections.all():
        dialects.kind_of(connection).prepare(connection)
        keep_settings(connection)


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
    files.note(connection)
    if _connected.waiting is not None:
        dialects.of(connection.alias).prepare_session(
            idling=IDLING, waiting=_connected.waiting, answering=ANSWERING
        )
    else:
        made = Made(connection, wrappers_before=_connected.wrappers)
        _connected.made[connection.alias] = made


def _note_wrappers(connection: Any, **kwargs: Any) -> None:
    _connected.wrappers = list(connection.execute_wrappers)


class _Connected(threading.local):
    """What this thread has connected."""

    waiting: float | None = None  # of a loop: seconds for a lock
    generation = 0  # of the files

    def __init__(self) -> None:
        self.made: dict[str, Made] = {}  # connections for jobs, by alias
        self.wrappers: list[Any] = []  # of execute(), before libraries add theirs


_connected = _Connected()
connection_created.connect(_note_connection)
connection_created.connect(_note_wrappers)
# Others' receivers add wrappers that are to stay; those of before are a job's.
connection_created.receivers.insert(0, connection_created.receivers.pop())


def _mine() -> list[tuple[str, Any]]:
    """Return this thread's connections and their aliases.

    connections.all() takes longer than a short job, and leaves out what a job added.
    """
    local: Any = connections._connections  # type: ignore[attr-defined]  # of the stubs
    return [
        (alias, connection)
        for alias, connection in local._storage.__dict__.items()
        if isinstance(connection, BaseDatabaseWrapper)
    ]


def _leave_clean(step: Callable[[str, Any], None], alias: str, connection: Any) -> None:
    try:
        step(alias, connection)
    # It may be anything by now, and a job's mess must not cost the thread.
    except Exception as error:
        logger.warning("A job left a broken connection behind: %s", error)
        del connections[alias]


def _renew(alias: str, connection: Any) -> None:
    made = _connected.made.get(alias)
    if made is not None and file_of(connection) not in (None, made.file):
        _discard(connection)


def _tidy(alias: str, connection: Any) -> None:
    is_foreign = restore_settings(connection) or alias not in connections.settings
    connection.queries_log.clear()
    if connection.alias != alias or connection.connection is None:
        del connections[alias]
    elif is_foreign or not dialects.is_idle(connection) or _is_altered(connection):
        _discard(connection)
    elif _is_pooled(connection):
        connection.close()  # to the pool, where other threads wait for it
    elif connection.errors_occurred or connection.settings_dict["CONN_MAX_AGE"]:
        connection.close_if_unusable_or_obsolete()


def _is_altered(connection: Any) -> bool:
    made = _connected.made.get(connection.alias)
    return made is None or made.is_altered()


def _discard(connection: Any) -> None:
    # Django does not close inside an atomic block. The wrapper, with its memory of the
    # block, goes too; the thread makes itself a new one.
    connection.in_atomic_block = False
    made = _connected.made.pop(connection.alias, None)
    raw = connection.connection
    _drop(connection)
    if made is not None and made.raw is not raw:
        # A job put another into its place; a pool waits for the first.
        connection.connection = made.raw
        _drop(connection)
    del connections[connection.alias]
