"""Jobs that run too long: each ends in time, and costs no other job a failure."""

import sys
import time
from datetime import timedelta

import pytest

from dbqueue import enqueue, enqueue_many
from dbqueue.ids import uuid7
from dbqueue.models import Job
from dbqueue.worker.run.deadlines import IMPORT_LIMIT, Deadlines
from dbqueue.worker.shared import make_children
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    ROOT,
    finished,
    reasons,
    thorough,
    unfinished,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.workers import HandWorker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = timedelta(seconds=0.5)
LATE = timedelta(seconds=15)  # of a job that would run for an hour, on a busy machine

# Waits less for something than a worker in life, which does for a minute.
IMPATIENT = """
import sys
import django
django.setup()
from django.core.management import execute_from_command_line
from dbqueue.worker.run import deadlines
import tests.support.worker_tasks
deadlines.{limit} = {seconds}
execute_from_command_line(["manage.py", "runworker", *sys.argv[1:]])
"""

POLITE = [tasks.spin, tasks.wait_for_ever]
STUBBORN = [
    tasks.block,
    tasks.swallow,
    tasks.ignore_cancellation,
    pytest.param(tasks.block_the_loop, marks=thorough),
]


def name(task):
    return task.name


@pytest.mark.parametrize("task", POLITE + STUBBORN, ids=name)
def test_a_job_past_its_timeout_ends_and_the_worker_goes_on(
    task, run_worker, effects, tmp_path, measured
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    other = enqueue(tasks.awork_until, "other", str(leave))
    worker = run_worker("--threads", 2)
    effects.wait_for("began", times=2)
    overdue = enqueue(task, "overdue")
    effects.wait_for("began", "overdue")

    record = wait_until_finished(overdue)

    late = record.finished_at - record.last_attempted_at - TIMEOUT
    assert timedelta(0) <= late < LATE
    measured("stopped, after its timeout, within", late.total_seconds(), at_most=2.0)
    assert (record.state, reasons(record)) == ("FAILED", ["timeout"])
    assert record.attempt_log[0]["exception"] == "dbqueue.exceptions.TaskTimeout"
    attempt = 1 if task in POLITE else 2
    effects.wait_for("began", times=1 + 2 * attempt)
    leave.touch()
    for innocent in (long, other):
        record = wait_until_finished(innocent)
        assert (record.state, record.failures) == ("SUCCESSFUL", 0)
        assert record.attempt == attempt
        assert reasons(record) == ["released"] * (attempt - 1)
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    "blocker",
    [
        tasks.block_the_loop_unlimited,
        tasks.block_the_loop_in_subtask,
        pytest.param(tasks.block_the_loop_by_callback, marks=thorough),
    ],
    ids=name,
)
def test_the_job_that_blocks_the_event_loop_is_blamed_for_it(
    blocker, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    others = [enqueue(tasks.ain_time, i, str(leave)) for i in range(2)]
    blocking = enqueue(blocker.using(priority=-1), "blocking")
    run_worker()
    effects.wait_for("began", "blocking")
    leave.touch()

    record = wait_until_finished(blocking)

    assert (record.state, reasons(record)) == ("FAILED", ["timeout"])
    assert "blocked the event loop" in record.attempt_log[0]["message"]
    for other in others:
        record = wait_until_finished(other)
        assert (record.state, record.failures) == ("SUCCESSFUL", 0)


@pytest.fixture
def run_impatient(start):
    """Return a function that starts a worker with another limit of its own."""

    def run(limit, seconds, *arguments):
        script = IMPATIENT.format(limit=limit, seconds=seconds)
        return start([sys.executable, "-c", script], arguments, PYTHONPATH=ROOT)

    return run


def assert_released_and_run(job):
    record = wait_until_finished(job)
    assert (record.state, record.failures) == ("SUCCESSFUL", 0)
    assert set(reasons(record)) == {"released"}


def test_a_job_that_holds_the_gil_for_ever_does_not_keep_those_beside_it_from_ending(
    run_impatient, effects, tmp_path
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    worker = run_impatient("STANDSTILL", 3.0, "--threads", 2)
    effects.wait_for("began", "long")
    holding = enqueue(tasks.hold_the_gil_unlimited, "holding")
    effects.wait_for("began", "holding")

    leave.touch()

    # Nobody knows which of the two it is until they have run alone.
    assert_released_and_run(long)
    assert unfinished(pk=holding.id).exists()
    assert worker.process.poll() is None


def test_nobody_is_blamed_for_a_neighbour_that_holds_the_gil(
    run_impatient, effects, tmp_path
):
    """Whether they have begun before it, with limits of their own, or could not."""
    leave = tmp_path / "leave"
    others = [enqueue(tasks.ain_time, i, str(leave)) for i in range(2)]
    enqueue(tasks.hold_the_gil_unlimited.using(priority=-1), "holding")
    run_impatient("STANDSTILL", 3.0)
    effects.wait_for("began", "holding")

    leave.touch()

    for other in others:
        assert_released_and_run(other)


def test_a_job_that_holds_the_gil_and_has_a_child_to_itself_is_left_alone():
    (child,) = make_children(1, 2)
    child.open(uuid7())
    deadlines = Deadlines(child, 2)

    deadlines.turn(2)
    several = child.turn_by
    deadlines.turn(1)

    assert several > time.monotonic()
    assert child.turn_by == 0.0


def test_a_job_that_holds_the_gil_past_its_timeout_ends(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    worker = run_worker("--threads", 2)
    effects.wait_for("began", "long")
    overdue = enqueue(tasks.hold_the_gil, "overdue")
    effects.wait_for("began", "overdue")
    leave.touch()

    record = wait_until_finished(overdue)

    # Nobody knows which of the two it is until they have run alone.
    assert (record.state, reasons(record)) == ("FAILED", ["released", "timeout"])
    assert wait_until_finished(long).failures == 0
    assert worker.process.poll() is None


def test_jobs_that_a_blocked_event_loop_cannot_begin_run_elsewhere(run_worker, effects):
    enqueue(tasks.block_the_loop_unlimited, "blocking")
    run_worker()
    effects.wait_for("began", "blocking")

    enqueue_many(tasks.awork, [(i, 0) for i in range(5)])
    run_worker()

    effects.wait_for("ended", times=5)
    assert finished(state="FAILED").count() == 0


def test_a_job_that_ends_in_time_is_left_alone(run_worker, effects):
    jobs = [enqueue(tasks.in_time, i) for i in range(6)]
    worker = run_worker("--threads", 2, "--drain")

    assert worker.wait() == 0

    assert finished(state="SUCCESSFUL", attempt=1).count() == len(jobs)
    assert len(effects.pids()) == 1


@thorough
def test_many_polite_timeouts_cost_no_child(run_worker, effects):
    for i in range(12):
        enqueue(tasks.spin if i % 2 else tasks.wait_for_ever, i)
    worker = run_worker("--threads", 2, "--drain")

    assert worker.wait() == 0

    assert finished(state="FAILED").count() == 12
    assert len(effects.pids("began")) == 1


@thorough
def test_the_setting_limits_tasks_that_name_no_timeout(run_worker, effects):
    job = enqueue(tasks.work_once, "long", NEVER)
    run_worker(settings={"DBQUEUE": {"TIMEOUT": TIMEOUT.total_seconds()}})

    record = wait_until_finished(job)

    assert reasons(record) == ["timeout"]
    assert not unfinished().exists()


def test_a_job_whose_module_hangs_at_import_is_ended_and_the_others_run(
    run_impatient, effects
):
    hanging = enqueue(tasks.work_once.using(priority=-1), "hanging", 0)
    Job.objects.update(task="tests.support.hanging.noop")
    others = [enqueue(tasks.note, i) for i in range(3)]
    run_impatient("IMPORT_LIMIT", 0.5)

    record = wait_until_finished(hanging)

    assert (record.state, reasons(record)) == ("FAILED", ["timeout"])
    assert record.attempt_log[0]["exception"] == "dbqueue.exceptions.TaskTimeout"
    wait_until_empty()
    assert effects.counts() == dict.fromkeys(range(3), 1)
    for other in others:
        record = wait_until_finished(other)
        assert (record.state, record.failures) == ("SUCCESSFUL", 0)


def test_a_child_that_imports_is_to_be_killed_when_the_limit_is_over():
    (child,) = make_children(1, 1)
    child.open(uuid7())
    deadlines = Deadlines(child, 1)
    worker = HandWorker()
    enqueue(tasks.note, "job")
    (job,) = worker.claim()
    before = time.monotonic()

    with deadlines.resolving(job):
        culprit, limit, begun = child.culprit, child.kill_at, child.running()

    assert (culprit, begun) == (job.id, {job.id})
    assert before + IMPORT_LIMIT <= limit <= time.monotonic() + IMPORT_LIMIT
    assert (child.kill_at, child.running()) == (0.0, set())
