"""SQLite: many writers, a death in a transaction, a stalled checkpoint, a full disk."""

import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from django.db import DatabaseError, connections
from django.test import override_settings

from dbqueue import enqueue
from tests.faults.disk import small_disk
from tests.settings import database
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    MANAGE,
    PATIENCE,
    ROOT,
    finished,
    scaled,
    unfinished,
    wait_until,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_sqlite"),
]

# Dies as a writer, with rows written and the commit still to come.
MORTAL = """
import os
import signal
import django
django.setup()
from django.db import connection, transaction
from dbqueue import enqueue_many
from tests.support.worker_tasks import effect, note
with transaction.atomic():
    results = enqueue_many(note, [(f"rolled back {i}",) for i in range(500)])
    for result in results:
        effect("written", str(result.id))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_eight_processes_write_at_once_and_nothing_is_lost(
    run_worker, run_enqueuer, jobs, effects, measured
):
    count = scaled(100, 2000)
    workers = [run_worker("--processes", 2) for _ in range(2)]
    enqueuers = [run_enqueuer(f"{i} ", count) for i in range(4)]

    for enqueuer in enqueuers:
        assert enqueuer.wait(2 * PATIENCE) == 0, enqueuer.output
    wait_until_empty(workers[0])

    jobs.check(at_rest=True)
    assert set(effects.counts().values()) == {1}
    assert len(effects.counts()) == 4 * count
    assert finished(state="SUCCESSFUL", failures=0).count() == 4 * count
    measured("jobs, by four processes that enqueue and four that run", 4 * count, "")


def test_a_writer_that_is_killed_in_its_transaction_leaves_nothing_behind(
    start, run_worker, jobs, effects
):
    enqueuer = start([sys.executable, "-c", MORTAL], [], PYTHONPATH=ROOT)
    assert enqueuer.wait() == -signal.SIGKILL

    jobs.one(tasks.note, "next")

    jobs.drained(run_worker())
    rolled_back = {line["key"] for line in effects.all("written")}
    assert len(rolled_back) == 500
    assert effects.counts() == {"next": 1}
    assert not finished(pk__in=rolled_back).exists()


def test_a_child_that_is_killed_while_it_is_the_writer_costs_its_attempt_alone(
    run_worker, jobs, effects, tmp_path
):
    leave = tmp_path / "leave"
    jobs.one(tasks.write_atomically, "row", str(leave))
    jobs.many(tasks.note, [(i,) for i in range(20)])
    worker = run_worker("--threads", 1)
    (line,) = effects.wait_for("written", "row")

    os.kill(line["pid"], signal.SIGKILL)

    leave.touch()
    jobs.drained(worker)
    assert effects.counts() == dict.fromkeys(["row", *range(20)], 1)


# The WAL is written back when it has so many pages, unless somebody still reads.
WRITTEN_BACK = 1000 * 4096


def test_a_reader_that_stalls_the_checkpoint_costs_room_and_no_speed(
    database_address, run_worker, jobs, effects, measured
):
    name = Path(connections["default"].settings_dict["NAME"])
    log, count = name.with_name(f"{name.name}-wal"), scaled(2500, 5000)
    worker = run_worker("--processes", 2)
    worker.wait_until_working(2)
    before = rate_of_notes(count, worker, jobs, effects)
    with closing(sqlite3.connect(name, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM dbqueue_job").fetchone()

        meanwhile = rate_of_notes(count, worker, jobs, effects)

        stalled = log.stat().st_size
    measured("the WAL grew to", stalled / 2**20, "MiB")
    measured("speed without the reader", before, "jobs/s")
    measured("speed with it", meanwhile, "jobs/s")
    # Between what two runs of the same differ by, and what a stall would cost.
    measured("it took longer by a factor of", before / meanwhile, "", at_most=4.0)
    assert stalled > WRITTEN_BACK
    jobs.check(at_rest=True)
    assert set(effects.counts().values()) == {1}
    with connections["default"].cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert cursor.fetchone()[0] == 0
    assert log.stat().st_size == 0
    jobs.one(tasks.note, "after")
    jobs.drained(worker)


def rate_of_notes(count, worker, jobs, effects):
    """Return how many notes a second are done of those that are enqueued now."""
    already, began = len(effects.all("ended")), time.monotonic()
    jobs.many(tasks.note, [(already + i,) for i in range(count)])
    wait_until_empty(worker)
    return count / (time.monotonic() - began)


# A database on a disk that is full


@pytest.fixture(scope="module", autouse=True)
def small_alias():
    connections.settings["small"] = dict(connections.settings["other"])
    yield
    del connections["small"], connections.settings["small"]


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_full_disk_is_an_error_for_the_caller_and_costs_workers_no_job(
    start, effects, tmp_path, witness
):
    witness.looks_away = True
    with small_disk(tmp_path, mebibytes=6) as disk:
        address = f"sqlite:///{disk.path}/db"
        entry = database(address)
        del entry["TEST"]
        use_small(entry)
        migrated = start([sys.executable, MANAGE, "migrate"], [], database_url=address)
        assert migrated.wait() == 0
        backend = {
            "BACKEND": "dbqueue.backend.DatabaseBackend",
            "QUEUES": [],
            "OPTIONS": {"database": "small"},
        }
        with override_settings(TASKS={"default": backend}):
            enqueued = [enqueue(tasks.work, i, 0.02) for i in range(100)]
            worker = start(
                [sys.executable, MANAGE, "runworker"], [], database_url=address
            )
            effects.wait_for("ended", times=10)

            disk.fill()
            with pytest.raises(DatabaseError, match="full"):
                enqueue(tasks.note, "x" * 1_000_000)
            worker.wait_for_output("full")
            disk.make_room()

            effects.wait_for("ended", times=100)
        history = finished().using("small")
        wait_until(lambda: history.count() == 100, "all are finished")
        assert {r.id for r in enqueued} == {str(job.pk) for job in history}
        assert effects.counts() == dict.fromkeys(range(100), 1)
        assert not unfinished().using("small").exists()
        assert worker.stop() == 0
        use_small({})


def use_small(settings):
    connections["small"].close()
    del connections["small"]
    connections.settings["small"] = {**connections.settings["other"], **settings}
