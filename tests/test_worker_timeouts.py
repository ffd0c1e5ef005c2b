"""Jobs that run too long: each ends in time, and costs no other job a failure."""

import time

import pytest

from dbqueue import enqueue
from tests import worker_tasks as tasks
from tests.processes import finished, reasons, thorough, unfinished, wait_until_finished

pytest_plugins = ["tests.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = 0.5
SPARE = 2.0

POLITE = [tasks.spin, tasks.wait_for_ever]
STUBBORN = [
    tasks.block,
    tasks.hold_the_gil,
    tasks.swallow,
    tasks.ignore_cancellation,
    pytest.param(tasks.block_the_loop, marks=thorough),
]


def name(task):
    return task.name


@pytest.mark.parametrize("task", POLITE + STUBBORN, ids=name)
def test_a_job_past_its_timeout_ends_and_the_worker_goes_on(
    task, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    other = enqueue(tasks.awork_until, "other", str(leave))
    worker = run_worker("--threads", 2)
    effects.wait_for("began", times=2)
    overdue = enqueue(task, "overdue")
    (began,) = effects.wait_for("began", "overdue")

    record = wait_until_finished(overdue, seconds=10)

    took = time.time() - began["at"]
    assert TIMEOUT <= took < TIMEOUT + SPARE
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
    job = enqueue(tasks.work_once, "long", 60)
    run_worker(settings={"DBQUEUE": {"TIMEOUT": TIMEOUT}})

    record = wait_until_finished(job, seconds=10)

    assert reasons(record) == ["timeout"]
    assert not unfinished().exists()
