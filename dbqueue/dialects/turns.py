"""Whose turn it is to write to an SQLite file: not idle in between, and not unfair.

SQLite has one lock for writers and no line before it. Who waits sleeps, up to a tenth
of a second at a time, and finds the lock free or not. A worker that waited so would
leave it idle much of the time, and one that looks often would never leave it to others.
Therefore workers look often, and leave the file alone for a while after each commit.
"""

import mmap
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

PATIENCE = "PRAGMA busy_timeout = {milliseconds:d}"  # SQLite takes no parameter there

LOOK = 0.001  # seconds between two looks at the lock
# How long the file is left to others, as a share of the time that it was kept from
# them: whenever they look, the odds are one to two.
PAUSE = 0.5
LONGEST_PAUSE = 0.1  # seconds

# When it is no longer left to others, monotonic. The processes of a worker share it:
# they are forked later.
_pause_until = memoryview(mmap.mmap(-1, 8)).cast("d")


@contextmanager
def turn(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Begin a transaction as the only writer; the block has to end it.

    Waits as long as the connection's `busy_timeout` says, then raises OperationalError.
    """
    with connection.wrap_database_errors:
        _become_writer(connection.connection)
    began = time.monotonic()
    try:
        yield
    finally:
        ended = time.monotonic()
        _pause_until[0] = ended + min(LONGEST_PAUSE, PAUSE * (ended - began))


def _become_writer(raw: sqlite3.Connection) -> None:
    ((patience,),) = raw.execute("PRAGMA busy_timeout").fetchall()
    give_up_at = time.monotonic() + patience / 1000
    raw.execute(PATIENCE.format(milliseconds=0))
    try:
        while not _is_free() or not _has_begun(raw, give_up_at):
            time.sleep(LOOK)
    finally:
        raw.execute(PATIENCE.format(milliseconds=patience))


def _is_free() -> bool:
    # Within bounds: a process may have died in the midst of writing it.
    return not 0 < _pause_until[0] - time.monotonic() <= LONGEST_PAUSE


def _has_begun(raw: sqlite3.Connection, give_up_at: float) -> bool:
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error) and time.monotonic() < give_up_at:
            return False
        raise
    return True
