"""Fair turns for the writers of an SQLite file, without leaving its lock idle.

SQLite has one lock for writers and no queue for it. A waiting writer sleeps up to
100 ms between attempts. A worker that waited so would leave the lock idle much of the
time, and one that looks often would never leave it to others. Therefore workers look
often, and leave the lock free for a while after each time that it was taken, by
themselves or while they watched. One that has waited for long takes the lock when it
gets it: another that writes without a pause would never leave it a second time.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

PATIENCE = "PRAGMA busy_timeout = {milliseconds:d}"  # it takes no parameter

LOOK = 0.001  # seconds between two looks at the lock
# How long the lock is left free, as a share of the time that it was taken: whenever
# others look, the odds are one to two.
PAUSE = 0.5
LONGEST_PAUSE = 0.1  # seconds
# Seconds of waiting after which a turn is taken at once. In a backlog most waits are
# shorter; were it less, other writers would wait several times as long as they do.
POLITE = 0.5


class Turns(threading.local):
    """The turns of each thread's connection."""

    def __init__(self) -> None:
        self._rests_until = 0.0  # monotonic

    @contextmanager
    def turn(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Begin a transaction as the only writer; the block has to end it.

        Waits as long as the connection's `busy_timeout` says, then raises
        OperationalError.
        """
        with connection.wrap_database_errors:
            _become_writer(connection.connection, self._rests_until)
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._rests_until = ended + _pause(ended - began)


def _become_writer(raw: sqlite3.Connection, rests_until: float) -> None:
    ((patience,),) = raw.execute("PRAGMA busy_timeout").fetchall()
    now = time.monotonic()
    gives_up_at = now + patience / 1000
    polite_until = min(now + POLITE, gives_up_at)
    time.sleep(max(0.0, min(rests_until, gives_up_at) - now))
    while not _begins(raw, patience, gives_up_at):
        taken = time.monotonic()
        while not _begins(raw, patience, gives_up_at):
            time.sleep(LOOK)
        now = time.monotonic()
        if now > polite_until:
            return
        raw.execute("ROLLBACK")  # it was only to see that it is free
        time.sleep(_pause(now - taken))


def _begins(raw: sqlite3.Connection, patience: int, gives_up_at: float) -> bool:
    """Try to begin; return False if another writer has the lock, raise if late."""
    late = time.monotonic() >= gives_up_at
    try:
        raw.execute(PATIENCE.format(milliseconds=0))
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if late or "locked" not in str(error):
            raise
        return False
    finally:
        raw.execute(PATIENCE.format(milliseconds=patience))
    return True


def _pause(seconds: float) -> float:
    return min(LONGEST_PAUSE, PAUSE * seconds)
