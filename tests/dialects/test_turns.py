"""On SQLite, a worker that writes and writes leaves room for other writers."""

import sqlite3
import threading
from contextlib import closing

import pytest
from django.db import OperationalError, connection

from dbqueue import dialects, enqueue
from dbqueue.models import Job
from tests import tasks

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


@pytest.mark.parametrize("workers", [1, 3])
def test_other_writers_get_the_lock_during_a_backlog(workers):
    began, done = threading.Event(), threading.Event()
    commits = []

    def write_on_and_on():
        while not done.is_set() and len(commits) < 500:
            with dialects.of("default").one_commit():
                commits.append(None)
                began.set()
                done.wait(0.01)
        connection.close()

    threads = [threading.Thread(target=write_on_and_on) for _ in range(workers)]
    for thread in threads:
        thread.start()
    began.wait()

    with stranger() as other:
        other.execute("BEGIN IMMEDIATE")

    done.set()
    for thread in threads:
        thread.join()
    assert len(commits) < 500


def test_a_writer_gets_its_turns_beside_one_that_pauses_for_an_instant():
    """As beside an import that commits in batches."""
    began, done = threading.Event(), threading.Event()
    commits = []

    def write_steadily():
        with stranger() as other:
            while not done.is_set():
                other.execute("BEGIN IMMEDIATE")
                began.set()
                done.wait(0.1)
                other.execute("COMMIT")
                commits.append(None)
                done.wait(0.02)

    writer = threading.Thread(target=write_steadily)
    writer.start()
    began.wait()
    try:
        for _ in range(3):
            enqueue_in_one_commit()
    finally:
        done.set()
        writer.join()

    assert len(commits) < 3 * 25
    assert Job.objects.count() == 3


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


def test_a_commit_that_is_refused_leaves_no_transaction_open():
    def refuse(execute, sql, params, many, context):
        if sql == "COMMIT":
            raise OperationalError("database is locked")
        return execute(sql, params, many, context)

    with (
        pytest.raises(OperationalError, match="locked"),
        connection.execute_wrapper(refuse),
    ):
        enqueue_in_one_commit()

    assert not connection.connection.in_transaction
    enqueue_in_one_commit()
    assert Job.objects.count() == 1


@pytest.mark.django_db(databases=[])
def test_what_may_not_use_the_database_does_not_take_its_lock():
    """As in Django's SimpleTestCase."""
    connection.ensure_connection()
    with pytest.raises(AssertionError, match="not allowed"):
        enqueue_in_one_commit()

    assert not connection.connection.in_transaction


def enqueue_in_one_commit():
    with dialects.of("default").one_commit():
        enqueue(tasks.noop)
