"""On SQLite, a worker that writes and writes leaves room for other writers."""

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from django.db import OperationalError, connection

from dbqueue import dialects
from dbqueue.dialects import turns

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_sqlite"),
]


def stranger():
    """Return another connection to the file, as of a process that knows no turns."""
    name = connection.settings_dict["NAME"]
    return closing(sqlite3.connect(name, timeout=60, isolation_level=None))


@pytest.fixture
def patience():
    """Let this thread's connection wait for a tenth of a second, no longer."""
    dialects.of("default").limit_waiting(0.1)
    yield
    connection.close()


def asked_for():
    return connection.connection.execute("PRAGMA busy_timeout").fetchone()[0]


def test_who_waits_gets_in_between_two_commits_of_a_worker_that_has_more_to_do():
    dialect, done = dialects.of("default"), threading.Event()

    def write_once():
        with stranger() as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        done.set()

    thread = threading.Thread(target=write_once)
    for commit in range(500):
        with dialect.one_commit():
            if not commit:
                thread.start()
            kept_until = time.monotonic() + 0.01
            while time.monotonic() < kept_until:  # busy, as one who writes is
                pass
        if done.is_set():
            break
    thread.join()

    assert commit < 499


def test_a_writer_waits_as_long_as_it_was_told_to_and_then_says_so(patience):
    dialect = dialects.of("default")
    with stranger() as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(OperationalError) as raised, dialect.one_commit():
            pytest.fail("It must not become a writer")

    assert dialect.is_busy(raised.value)
    assert asked_for() == 100
    with dialect.one_commit():
        assert asked_for() == 100


def test_a_pause_that_a_dead_process_left_behind_holds_nobody_up(patience):
    for nonsense in (float("inf"), float("nan"), time.monotonic() + 3600):
        turns._pause_until[0] = nonsense

        with dialects.of("default").one_commit():
            pass
