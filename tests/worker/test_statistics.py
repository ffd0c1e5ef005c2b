import random
from bisect import bisect_left
from datetime import timedelta

import pytest
from django.db.models import F, Sum
from django.utils import timezone

from dbqueue import enqueue_many
from dbqueue.dialects import statistics as buckets
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import statistics
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job, Statistic
from tests import tasks
from tests.support.worker_tasks import note

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)
ENDS = ("succeeded", "failed", "cancelled", "retried")


def totals(**conditions):
    rows = Statistic.objects.filter(span=buckets.MINUTE, **conditions)
    return rows.aggregate(**{name: Sum(name, default=0) for name in ENDS})


def test_a_worker_writes_what_its_jobs_did(run_worker):
    enqueue_many(note, [(f"n{n}",) for n in range(300)])
    for _ in range(3):
        tasks.afail.using(queue_name="bad").enqueue()
    tasks.cancel.enqueue()
    worker = run_worker("--drain", "--processes", 2)

    assert worker.wait() == 0

    assert FinishedJob.objects.count() == 301
    assert totals() == {"succeeded": 300, "failed": 0, "cancelled": 1, "retried": 3}
    assert totals(queue_name="bad")["retried"] == 3
    assert totals(task="tests.support.worker_tasks.note")["succeeded"] == 300


def attempt(state="SUCCESSFUL", duration=0.0015, task="t", **columns):
    """Return a job and how an attempt at it ended, three seconds after it was due."""
    now = timezone.now()
    times = {"enqueued_at": now - timedelta(seconds=3), "last_attempted_at": now}
    job = Job(**{"queue_name": "q", "task": task, "attempt": 1} | times | columns)
    failed = state == "FAILED"
    outcome = Outcome(id=job.pk, attempt=job.attempt, state=state, failed=failed)
    outcome.duration = duration
    return job, outcome


def test_hours_have_the_sums_of_their_minutes_and_times_are_in_their_buckets():
    counts = statistics.Counts()
    counts.add([attempt()] * 7, timed=True)
    counts.add([attempt("FAILED", 99999.0, attempt=2)] * 2, timed=True)

    statistics.write("default", counts)
    counts.add([attempt()], timed=True)
    statistics.write("default", counts)

    rows = Statistic.objects.values_list(
        "succeeded", "failed", "run_1", "run_18", "wait_11", "wait_18"
    )
    assert set(rows) == {(8, 2, 8, 2, 8, 0)}
    assert {row.span for row in Statistic.objects.all()} == {60, 3600}
    assert not counts.by_key


def test_of_many_brief_attempts_some_stand_for_all_and_long_ones_for_themselves():
    counts = statistics.Counts()
    some = [attempt()] * 997 + [attempt(duration=7.0)] * 3
    counts.add([*some, *[attempt(task="other")] * 5], timed=True)
    statistics.write("default", counts)

    row = Statistic.objects.get(span=60, task="t")
    assert (row.succeeded, row.run_1, row.run_12, row.wait_11) == (1000, 997, 3, 1000)
    assert row.seconds == pytest.approx(997 * 0.0015 + 21)
    assert Statistic.objects.get(span=60, task="other").run_1 == 5


def test_what_goes_back_without_an_attempt_is_not_counted():
    counts = statistics.Counts()
    counts.add([attempt("READY")], timed=True)

    assert not counts.by_key


def test_more_tasks_than_a_write_may_have_are_counted_together():
    counts = statistics.Counts()
    counts.add((attempt(task=f"t{n}", duration=1.0) for n in range(1000)), timed=True)

    statistics.write("default", counts)

    assert totals()["succeeded"] == 1000
    assert Statistic.objects.filter(span=60).count() <= statistics.MOST_ROWS + 1
    assert Statistic.objects.get(span=60, task=statistics.OTHERS).succeeded == 800


def test_old_rows_go_and_others_stay():
    for span, seconds in ((60, 3600), (60, 5 * 3600), (3600, 86_400), (3600, 10**7)):
        moment = timezone.now() - timedelta(seconds=seconds)
        Statistic.objects.create(span=span, at=moment, queue_name="q", task="t")

    assert statistics.forget_old("default") == 2
    assert Statistic.objects.count() == 2


def test_a_percentile_of_buckets_is_near_that_of_the_times():
    dice = random.Random(1)
    times = sorted(dice.lognormvariate(0, 1.5) for _ in range(5000))
    counts = [0] * buckets.BUCKETS
    for time in times:
        counts[bisect_left(buckets.BOUNDS, time)] += 1

    for share in (0.5, 0.95):
        told = buckets.percentile(counts, share)
        assert told == pytest.approx(times[int(share * 5000)], rel=0.5)
    assert buckets.percentile([0] * buckets.BUCKETS, 0.95) is None


def test_a_job_that_was_lost_is_counted(worker):
    tasks.noop.enqueue()
    (job,) = worker.claim()
    leases.retire("default", worker.id)
    rescue_orphans("default")

    found = Statistic.objects.filter(span=60, task=job.task)
    assert found.aggregate(n=Sum(F("failed") + F("retried")))["n"] == 1
