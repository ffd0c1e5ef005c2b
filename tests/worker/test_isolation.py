"""Whatever a job does to its process, the next job is clean and the worker goes on."""

import os
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from dbqueue import enqueue, enqueue_many
from tests.support import worker_tasks as tasks
from tests.support.processes import ROOT, reasons, thorough, wait_until_finished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

CLEAN = {
    "language": "en",
    "zone": "Asia/Kathmandu",
    "autocommit": True,
    "in_atomic_block": False,
}


@pytest.mark.parametrize(
    "task",
    [tasks.leave, pytest.param(tasks.aleave, marks=thorough), tasks.interrupt],
    ids=lambda task: task.name,
)
def test_a_job_cannot_end_its_worker_by_an_exception(task, run_worker, effects):
    job = enqueue(task, "rude")
    worker = run_worker("--threads", 1)
    record = wait_until_finished(job)

    enqueue(tasks.note, "next")

    (line,) = effects.wait_for("ended", "next")
    assert (record.state, reasons(record)) == ("FAILED", ["failed"])
    assert {line["pid"]} == effects.pids("began")
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    "task",
    [
        tasks.leave_transaction_open,
        tasks.begin,
        pytest.param(tasks.leave_atomic_open, marks=thorough),
        pytest.param(tasks.close_connection, marks=thorough),
        tasks.break_connection,
        tasks.terminate_backend,
        tasks.go_abroad,
    ],
    ids=lambda task: task.name,
)
def test_the_next_job_in_the_thread_is_clean(task, run_worker, effects):
    enqueue(task, "messy")
    next_job = enqueue(tasks.describe_surroundings.using(priority=-1), "next")
    worker = run_worker("--threads", 1)

    record = wait_until_finished(next_job)

    (line,) = effects.all("ended", "next")
    assert {key: line[key] for key in CLEAN} == CLEAN
    assert (record.state, record.failures) == ("SUCCESSFUL", 0)
    assert Group.objects.filter(name="next").exists()
    assert not Group.objects.filter(name="messy").exists()
    assert worker.process.poll() is None


CONNECTED = """
import sys
import django
django.setup()
from django.core.management import execute_from_command_line
from django.db import connection
connection.ensure_connection()  # as an app may do in ready()
execute_from_command_line(["manage.py", "runworker", *sys.argv[1:]])
"""


def open_in(pid, kind):
    """Return what the process has open whose name has that in it."""
    files = (Path("/proc") / str(pid) / "fd").iterdir()
    return [name for file in files if kind in (name := os.readlink(file))]


def test_a_connection_that_was_made_before_the_fork_is_in_no_process_after_it(
    start, effects
):
    worker = start(
        [sys.executable, "-c", CONNECTED], ["--processes", 2], PYTHONPATH=ROOT
    )
    worker.wait_until_working(2)
    enqueue_many(tasks.note, [(i,) for i in range(20)])
    effects.wait_for("ended", times=20)

    sockets = [name for pid in worker.family() for name in open_in(pid, "socket:")]

    assert len(set(sockets)) == len(sockets)
    assert open_in(worker.pid, "socket:") == []
    assert open_in(worker.pid, str(connection.settings_dict["NAME"])) == []
    if connection.vendor == "postgresql":
        assert len(sockets) >= 3  # of the keeper, and of each child


def test_the_next_async_job_is_clean(run_worker, effects):
    enqueue(tasks.aleave_transaction_open, "messy")
    next_job = enqueue(tasks.adescribe_surroundings.using(priority=-1), "next")
    run_worker("--async-concurrency", 1)

    wait_until_finished(next_job)

    (line,) = effects.all("ended", "next")
    assert {key: line[key] for key in CLEAN} == CLEAN
    assert Group.objects.filter(name="next").exists()


def test_a_job_whose_connection_is_cut_is_retried(run_worker, only_postgres):
    job = enqueue(tasks.terminate_backend, "cut")
    run_worker()

    record = wait_until_finished(job)

    assert record.state == "FAILED"
    assert reasons(record) == ["failed"] * 2


@pytest.mark.parametrize(
    ("task", "state"),
    [
        (tasks.exit_in_receiver, "SUCCESSFUL"),
        (tasks.exit_in_event_receiver, "SUCCESSFUL"),
        (tasks.exit_in_backoff, "FAILED"),
    ],
)
def test_an_exit_outside_the_function_costs_neither_job_nor_thread(
    task, state, run_worker, effects
):
    job = enqueue(task, "rude")
    next_job = enqueue(tasks.describe_surroundings.using(priority=-1), "next")
    worker = run_worker("--threads", 1, "--drain")

    assert worker.wait() == 0

    job.refresh()
    next_job.refresh()
    assert (job.state, next_job.state) == (state, "SUCCESSFUL")


def test_a_bad_progress_message_hurts_nobody(run_worker, effects):
    job = enqueue(tasks.tell_nonsense, "bad")
    worker = run_worker()

    record = wait_until_finished(job)

    assert record.state == "SUCCESSFUL"
    assert "trouble" not in worker.output
