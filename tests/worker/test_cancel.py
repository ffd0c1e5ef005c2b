"""Running jobs that somebody cancels: they stop soon, and cost no other a failure."""

import signal
import time
from uuid import UUID

import pytest

from dbqueue import enqueue, jobs
from dbqueue.dialects.rows import Request
from dbqueue.jobs.moves.stopping import request_cancel
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job, Worker
from tests import tasks as plain
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    SHORT,
    reasons,
    send,
    thorough,
    wait_until,
    wait_until_finished,
)
from tests.support.workers import HandWorker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

ALONE = [  # stopped without the end of their process
    tasks.spin_for_ever,
    tasks.wait_unlimited,
    tasks.ask_whether_cancelled,
    tasks.clean_up_when_cancelled,
    tasks.await_cancelled,
    tasks.never_ask,
]
WITH_THEIR_PROCESS = [
    tasks.block_for_ever,
    tasks.hold_the_gil_unlimited,
    tasks.swallow_for_ever,
    tasks.ignore_cancellation_unlimited,
]
QUICK = [
    tasks.spin_for_ever,
    tasks.wait_unlimited,
    tasks.ask_whether_cancelled,
    tasks.block_for_ever,
    tasks.hold_the_gil_unlimited,
]


def name(task):
    return task.name


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, marks=[] if task in QUICK else thorough)
        for task in ALONE + WITH_THEIR_PROCESS
    ],
    ids=name,
)
def test_a_running_job_that_is_cancelled_stops_and_the_worker_goes_on(
    task, run_worker, effects, tmp_path, measured
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    other = enqueue(tasks.awork_until, "other", str(leave))
    worker = run_worker("--threads", 2)
    effects.wait_for("began", times=2)
    unwanted = enqueue(task, "unwanted")
    effects.wait_for("began", "unwanted")

    began = time.monotonic()

    moved = unwanted.cancel()

    record = wait_until_finished(unwanted)
    took = time.monotonic() - began
    measured("a cancelled job stopped within", took, at_most=2.0)
    assert (moved.asked, moved.done) == (1, 0)
    assert (record.state, reasons(record)) == ("CANCELLED", ["cancelled"])
    assert (record.failures, record.result) == (0, None)
    attempt = 2 if task in WITH_THEIR_PROCESS else 1
    effects.wait_for("began", times=1 + 2 * attempt)
    leave.touch()
    for innocent in (long, other):
        record = wait_until_finished(innocent)
        assert (record.state, record.failures) == ("SUCCESSFUL", 0)
        assert reasons(record) == ["released"] * (attempt - 1)
    assert worker.process.poll() is None
    assert "ERROR" not in worker.output


@pytest.mark.parametrize(
    "task", [tasks.await_cancelled, tasks.spin_for_ever, tasks.block_for_ever]
)
def test_the_record_says_who_has_cancelled_a_running_job_and_why(
    task, run_worker, effects
):
    job = enqueue(task, "job")
    run_worker()
    effects.wait_for("began", "job")
    reason = "Zu groß 🐘" + '"\\' * 300

    job.cancel(by="ä" * 300, reason=reason)

    assert said(wait_until_finished(job)) == ("ä" * 255, reason[:500])


def test_a_worker_that_no_notification_reaches_looks_with_its_heartbeat(
    run_worker, effects
):
    job = enqueue(tasks.spin_for_ever, "job")
    run_worker(settings={"DBQUEUE": {"LEASE": 3.0, "NOTIFY": False}})
    effects.wait_for("began", "job")

    job.cancel()

    assert wait_until_finished(job).state == "CANCELLED"


def test_a_cancel_outlives_the_keeper(run_worker, effects):
    job = enqueue(tasks.spin_for_ever, "job")
    worker = run_worker()
    effects.wait_for("began", "job")
    send(worker.keeper(), signal.SIGSTOP)  # the supervisor replaces it

    job.cancel()

    record = wait_until_finished(job)
    assert (record.state, record.failures) == ("CANCELLED", 0)


def test_a_cancelled_job_whose_worker_died_is_not_run_again(run_worker, effects):
    job = enqueue(tasks.block_for_ever, "job")
    worker = run_worker(settings=SHORT)
    effects.wait_for("began", "job")
    worker.freeze()
    job.cancel()
    worker.kill_all()

    run_worker(settings=SHORT)

    assert wait_until_finished(job).state == "CANCELLED"
    assert len(effects.all("began", "job")) == 1


def test_a_cancel_is_said_once_and_at_info(run_worker, effects):
    job = enqueue(tasks.block_for_ever, "job")
    worker = run_worker()
    effects.wait_for("began", "job")

    job.cancel(by="ada", reason="It is not needed: 100 %.")

    record = wait_until_finished(job)
    wait_until(lambda: "state=CANCELLED" in worker.output, "it is said")
    assert worker.output.count("state=CANCELLED") == 1
    assert "by='ada' why='It is not needed: 100 %.'" in worker.output
    assert said(record) == ("ada", "It is not needed: 100 %.")
    assert not {"WARNING", "ERROR"} & set(worker.output.split())


def running_job(task=plain.noop):
    worker, result = HandWorker(), enqueue(task)
    (job,) = worker.claim()
    return worker, job, result


REQUEST = Request("ada", "The customer has left.")


def asked(result):
    return request_cancel("default", [UUID(result.id)], REQUEST)


def said(record):
    """Return who has cancelled the job and why, as its record has it."""
    return record.attempt_log[-1].get("by"), record.attempt_log[-1].get("why")


def test_a_job_that_ends_at_that_very_moment_is_successful():
    worker, job, result = running_job()
    assert asked(result) == [job.id]

    assert worker.finish(job)

    result.refresh()
    assert result.state == "SUCCESSFUL"
    assert not Job.objects.exists()
    assert result.cancel().skipped == {"successful": 1}


def test_whoever_cancels_a_job_that_has_ended_is_told_how():
    worker, job, result = running_job()
    worker.finish(job)

    moved = jobs.cancel(result)

    assert not moved
    assert moved.skipped == {"successful": 1}
    assert asked(result) == []


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_cancelled_job_that_is_given_back_ends_instead(delay):
    worker, job, result = running_job()
    asked(result)

    assert worker.release(job, delay=delay, failed=1)

    result.refresh()
    assert result.state == "CANCELLED"
    assert FinishedJob.objects.get().failures == 1
    assert said(FinishedJob.objects.get()) == REQUEST
    assert not Job.objects.exists()


def test_among_jobs_that_are_given_back_only_the_cancelled_one_ends():
    worker = HandWorker()
    results = [enqueue(plain.noop) for _ in range(3)]
    claimed = worker.claim(3)
    asked(results[1])

    held = worker._record(claimed, "READY")

    assert {job.id for job in held} == {UUID(result.id) for result in results}
    assert FinishedJob.objects.get().pk == UUID(results[1].id)
    assert Job.objects.ready().count() == 2


def test_a_cancelled_job_is_not_rescued_from_a_lost_worker(caplog):
    worker, _, result = running_job()
    asked(result)
    leases.retire("default", worker.id)

    assert rescue_orphans("default") == 1

    result.refresh()
    assert result.state == "CANCELLED"
    assert said(FinishedJob.objects.get()) == REQUEST
    assert not Worker.objects.exists()
    assert [r.levelname for r in caplog.records if "CANCELLED" in r.message] in (
        [],
        ["INFO"],
    )


def run(worker, job):
    return worker.run(job, cancelled={(job.id, job.attempt): REQUEST})


def test_a_job_that_was_cancelled_before_it_began_does_not_begin():
    worker, job, _ = running_job(plain.fail)

    outcome = run(worker, job)

    assert (outcome.state, outcome.failed) == ("CANCELLED", 0)
    assert outcome.record["exception"] == "dbqueue.exceptions.Cancel"
    assert (outcome.record["by"], outcome.record["why"]) == REQUEST


def test_the_cancel_of_an_earlier_attempt_is_not_of_this_one():
    worker, job, _ = running_job()

    outcome = worker.run(job, cancelled={(job.id, job.attempt - 1): REQUEST})

    assert outcome.state == "SUCCESSFUL"


@pytest.mark.parametrize(
    "task", [plain.fail_when_cancelled, plain.afail_when_cancelled]
)
def test_what_a_cancelled_job_raises_is_no_failure(task):
    worker, job, _ = running_job(task)
    plain.wanted_to_stop.clear()

    outcome = worker.run(job, cancelled=plain.wanted_to_stop)

    assert (outcome.state, outcome.failed) == ("CANCELLED", 0)
    assert "no luck" in outcome.record["traceback"]


def test_a_job_that_never_asks_and_returns_is_successful():
    worker, job, _ = running_job(plain.return_when_cancelled)
    plain.wanted_to_stop.clear()

    outcome = worker.run(job, cancelled=plain.wanted_to_stop)

    assert (outcome.state, outcome.result) == ("SUCCESSFUL", "7")


def test_a_cancelled_job_may_be_retried(run_worker, effects, tmp_path):
    job = enqueue(tasks.spin_for_ever, "job")
    run_worker()
    effects.wait_for("began", "job")
    job.cancel()
    wait_until_finished(job)

    assert job.retry().done == 1

    effects.wait_for("began", "job", times=2)
    job.cancel()
    record = wait_until_finished(job)
    assert reasons(record) == ["cancelled", "cancelled"]
