import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from dbqueue import dialects, enqueue, enqueue_many, task
from dbqueue.jobs.moves import retry
from dbqueue.maintenance.expire import expire
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.signals import job_cancelled, job_started
from dbqueue.tasks.framework import InvalidTask, task_finished
from dbqueue.testing import run_jobs
from tests.support import unique_tasks
from tests.support.processes import on_demand, wait_until_finished
from tests.support.workers import drain, heard

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db

LATER = timedelta(hours=1)


def too_late(rows=None):
    """Let the deadlines of jobs be over."""
    rows = Job.objects.all() if rows is None else rows
    rows.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_a_job_that_begins_in_time_runs():
    enqueue(unique_tasks.for_a_minute, 1)

    (result,) = run_jobs()

    assert result.state == JobState.SUCCESSFUL


def test_seconds_count_from_the_enqueue_by_the_databases_clock():
    enqueue(unique_tasks.for_a_minute, 1)
    enqueue_many(unique_tasks.for_a_minute, [(2,), (3,)])

    for job in Job.objects.all():
        assert job.expires_at - job.enqueued_at == timedelta(seconds=60)


def test_a_moment_may_be_given_with_a_job():
    moment = timezone.now().replace(microsecond=0) + LATER
    enqueue(unique_tasks.renamed.using(expires=moment), 1)
    enqueue(unique_tasks.renamed.using(expires=LATER), 1)

    first, second = Job.objects.order_by("enqueued_at")
    assert first.expires_at == moment
    assert second.expires_at - second.enqueued_at == LATER


def test_a_job_that_is_too_late_is_not_started(caplog):
    started = []
    job_started.connect(hear := lambda event, **named: started.append(event))
    enqueue(unique_tasks.for_a_minute, 1)
    too_late()

    with caplog.at_level(logging.INFO, "dbqueue"), heard(task_finished) as finished:
        assert run_jobs() == []

    job_started.disconnect(hear)
    job = FinishedJob.objects.get()
    assert (job.state, job.failures) == (JobState.CANCELLED, 0)
    (entry,) = job.attempt_log
    assert entry["reason"] == "expired"
    assert entry["exception"] == "dbqueue.exceptions.Expired"
    assert not started
    assert [result.state for _, result in finished] == [JobState.CANCELLED]
    told = [r for r in caplog.records if str(job.pk) in r.getMessage()]
    assert [r.levelno for r in told] == [logging.INFO]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["for_a_minute", "afor_a_minute"])
def test_a_worker_that_claims_it_too_late_ends_it(path, caplog):
    cancelled = []
    job_cancelled.connect(hear := lambda event, **named: cancelled.append(event))
    enqueue(getattr(unique_tasks, path), 1)
    enqueue(unique_tasks.renamed, 2)
    too_late(Job.objects.exclude(expires_at=None))

    with caplog.at_level(logging.INFO, "dbqueue"):
        drain()

    job_cancelled.disconnect(hear)
    job = FinishedJob.objects.get(state=JobState.CANCELLED)
    assert [(event.id, event.reason) for event in cancelled] == [(job.pk, "expired")]
    lines = [r.getMessage() for r in caplog.records if str(job.pk) in r.getMessage()]
    assert len(lines) == 1
    assert "state=CANCELLED reason=expired" in lines[0]
    assert FinishedJob.objects.filter(state=JobState.SUCCESSFUL).count() == 1


def test_a_task_that_is_gone_keeps_nothing_from_expiring(worker):
    enqueue(unique_tasks.for_a_minute, 1)
    too_late()
    Job.objects.update(task="tests.nowhere.to_be_found")

    (job,) = worker.claim()

    assert job.fate == "expired"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("state", ["READY", "SCHEDULED", "BLOCKED"])
def test_a_job_that_waits_too_long_is_ended_by_the_keeper(state, caplog):
    results = [enqueue(unique_tasks.for_a_minute, number) for number in range(2)]
    too_late(Job.objects.filter(args=[0]))
    lane = "lane" if state == "BLOCKED" else None
    due = timezone.now() + LATER if state == "SCHEDULED" else None
    Job.objects.update(state=state, lane=lane, run_after=due)

    assert dialects.of("default").next_due().late

    with caplog.at_level(logging.INFO, "dbqueue"), heard(task_finished) as finished:
        assert expire("default") is None

    assert not dialects.of("default").next_due().late
    gone, left = results
    gone.refresh()
    assert (gone.state, gone.errors[0].exception_class_path) == (
        JobState.CANCELLED,
        "dbqueue.exceptions.Expired",
    )
    assert gone.worker_ids == []
    assert str(Job.objects.get().pk) == left.id
    lines = [r.getMessage() for r in caplog.records if gone.id in r.getMessage()]
    assert len(lines) == 1
    assert "state=CANCELLED" in lines[0]
    assert len(finished) == 1


@on_demand
@pytest.mark.django_db(transaction=True)
def test_a_job_of_a_queue_that_nobody_takes_is_ended_by_a_keeper_of_others(run_worker):
    worker = run_worker("--queues", "others")
    worker.wait_until_working()
    result = enqueue(unique_tasks.renamed.using(expires=0.1), 1)

    job = wait_until_finished(result)

    assert (job.state, job.attempt) == (JobState.CANCELLED, 0)
    assert worker.output.count(f"id={result.id}") == 1


def test_the_keeper_asks_again_while_there_are_more():
    enqueue_many(unique_tasks.for_a_minute, [(number,) for number in range(5)])
    too_late()

    assert expire("default", limit=2) == 0.0
    assert expire("default", limit=2) == 0.0
    assert expire("default", limit=2) is None
    assert FinishedJob.objects.filter(state=JobState.CANCELLED).count() == 5


def test_the_keeper_leaves_what_runs(worker):
    enqueue(unique_tasks.for_a_minute, 1)
    (job,) = worker.claim()
    too_late()

    expire("default")

    assert worker.finish(job)


def test_a_retry_that_comes_too_late_is_not_started(worker):
    enqueue(unique_tasks.for_a_minute, 1)
    (job,) = worker.claim()
    worker.release(job, failed=1)
    too_late()

    assert run_jobs() == []
    assert FinishedJob.objects.get().failures == 1


def test_an_expired_job_may_be_retried_and_then_has_no_deadline():
    enqueue(unique_tasks.for_a_minute, 1)
    too_late()
    expire("default")

    retry("default", [FinishedJob.objects.get().pk])

    (result,) = run_jobs()
    assert result.state == JobState.SUCCESSFUL


def test_an_expired_job_is_kept_as_its_task_says():
    enqueue(unique_tasks.briefly, 1)
    enqueue(unique_tasks.briefly, 2)
    too_late()
    Job.objects.filter(args=[2]).update(state=JobState.SCHEDULED)
    run_jobs()

    for job in FinishedJob.objects.all():
        kept = (job.keep_until - job.finished_at).total_seconds()
        assert kept == pytest.approx(30, abs=0.1)


def test_run_jobs_goes_on_in_time_past_deadlines():
    enqueue(unique_tasks.for_a_minute, 1)
    enqueue(unique_tasks.renamed.using(run_after=timedelta(seconds=30)), 2)
    Job.objects.filter(args=[1]).update(
        state="SCHEDULED", run_after=timezone.now() + timedelta(seconds=90)
    )

    (result,) = run_jobs(until=timedelta(minutes=3))

    assert result.return_value == 4
    assert FinishedJob.objects.get(args=[1]).state == JobState.CANCELLED


@pytest.mark.parametrize(
    ("expires", "words"),
    [
        (0, "seconds above 0"),
        (-5, "seconds above 0"),
        (True, "seconds above 0"),
        ("60", "seconds above 0"),
        (float("inf"), "ten years"),
        (float("nan"), "ten years"),
        (timedelta(0), "seconds above 0"),
        (timezone.now().replace(tzinfo=None), "aware"),
        (timezone.now().replace(year=9999), "1970 to 9000"),
    ],
)
def test_what_is_no_deadline_is_refused(expires, words):
    with pytest.raises(InvalidTask, match=words):
        task(expires=expires)(lambda: None)
    with pytest.raises(InvalidTask, match=words):
        unique_tasks.renamed.using(expires=expires)


def test_a_job_that_could_never_start_is_refused():
    with pytest.raises(InvalidTask, match="comes before run_after"):
        unique_tasks.renamed.using(run_after=LATER, expires=60)
    with pytest.raises(InvalidTask, match="comes before run_after"):
        unique_tasks.debounced.using(expires=30)


def test_a_moment_that_is_over_already_is_no_error():
    enqueue(unique_tasks.renamed.using(expires=timezone.now() - LATER), 1)

    assert run_jobs() == []
    assert FinishedJob.objects.get().state == JobState.CANCELLED
