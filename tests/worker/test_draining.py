"""What ended is recorded at once: no timer rings while these tests have patience."""

import pytest
from django.test import override_settings

from dbqueue import enqueue, enqueue_many
from dbqueue.dialects import loading
from dbqueue.models import FinishedJob
from dbqueue.worker.loop import prefetch, worker
from dbqueue.worker.shared import ExitReason
from tests import tasks
from tests.support.processes import NEVER
from tests.support.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_timer(monkeypatch):
    """Let a child that waits for a timer wait until its lease is over."""
    monkeypatch.setattr(worker, "_MAX_SLEEP", NEVER)
    polls = {"POLL_INTERVAL": NEVER, "SQLITE_POLL_INTERVAL": NEVER}
    with override_settings(DBQUEUE=polls):
        yield


def test_the_last_outcomes_of_a_drain_are_recorded_at_once(monkeypatch):
    monkeypatch.setattr(prefetch, "MOST", 3)
    enqueue_many(tasks.noop, [()] * 50)

    reason = drain(threads=5)

    assert reason is ExitReason.DRAINED
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 50


@pytest.mark.parametrize(
    ("task", "args"),
    [(tasks.noop, ()), (tasks.aadd, (1, 2)), (tasks.write_group, ("last",))],
    ids=["sync", "async", "atomic"],
)
def test_a_drain_is_over_when_its_last_job_is(task, args):
    enqueue(task, *args)

    reason = drain(threads=3)

    assert reason is ExitReason.DRAINED
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 1


def test_small_jobs_do_not_wait_for_the_end_of_large_ones(monkeypatch):
    for module in (prefetch, loading):
        monkeypatch.setattr(module, "BYTES", 100_000)
    large = [("x" * 60_000, 20)] * 3
    enqueue_many(tasks.wait_for_noops, large)
    enqueue_many(tasks.noop, [()] * 20)

    reason = drain(threads=4)

    assert reason is ExitReason.DRAINED
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 23
