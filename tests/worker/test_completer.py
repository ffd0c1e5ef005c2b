import time
from uuid import UUID

import pytest

from dbqueue.jobs.outcomes import untouched
from dbqueue.models import FinishedJob, Job
from dbqueue.signals import job_finished
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.loop.polling import Polling
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.shared import make_children
from tests import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def completer(worker):
    return Completer(worker.dialect, worker.id, WakePipe())


class TestReconciling:
    def test_reconciling_gives_back_what_a_lost_answer_has_hidden(
        self, worker, completer
    ):
        tasks.noop.enqueue()
        worker.claim()

        completer.reconcile()

        assert Job.objects.get().state == "READY"

    def test_reconciling_leaves_what_is_in_flight(self, worker, completer):
        tasks.noop.enqueue()
        (job,) = worker.claim()
        completer.accept(job, None)

        completer.reconcile()

        assert Job.objects.get().state == "RUNNING"

    def test_reconciling_finds_a_job_that_one_lost_answer_gave_back_and_claimed_again(
        self, worker, completer
    ):
        tasks.noop.enqueue()
        (job,) = worker.claim()
        completer.accept(job, None)
        completer.done(job, untouched(job))
        completer.collect()
        worker.dialect.finish_and_claim(worker.id, [untouched(job)], worker.scan, 1)
        assert Job.objects.get().attempt == 2

        completer.reconcile()

        assert Job.objects.get().state == "READY"
        assert not completer.in_flight
        assert not FinishedJob.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_reconciling_leaves_what_is_locked_for_the_next_time(
    only_postgres, worker, completer, database_url
):
    for _ in range(2):
        tasks.noop.enqueue()
    locked, free = worker.claim(2)
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM dbqueue_job WHERE id = %s FOR UPDATE", [locked.id])

        completer.reconcile()

    assert Job.objects.get(pk=locked.id).state == "RUNNING"
    assert Job.objects.get(pk=free.id).state == "READY"
    completer.reconcile()
    assert Job.objects.get(pk=locked.id).state == "READY"


def test_a_child_reconciles_at_intervals_and_before_its_first_claim_after_trouble(
    worker, monkeypatch
):
    (child,) = make_children(1, 1)
    polling, calls = Polling(worker.dialect, child), []

    def look():
        polling.reconcile_if_due(lambda: calls.append(None))
        return len(calls)

    assert look() == 0
    polling.back_off()
    assert look() == 1
    polling.recovered()
    assert look() == 1
    monkeypatch.setattr(time, "monotonic", lambda: polling.paused_until + 60)
    assert look() == 2


@pytest.mark.django_db(transaction=True)
def test_an_outcome_that_the_database_refuses_fails_its_job_and_no_other(
    worker, completer
):
    ends = []

    def receive(event, **kwargs):
        ends.append((event.id, event.state))

    bad, good = tasks.noop.enqueue(), tasks.noop.enqueue()
    for job in worker.claim(2):
        completer.accept(job, None)
        completer.done(job, untouched(job, delay=1e300 if str(job.id) == bad.id else 0))
    completer.collect()
    job_finished.connect(receive)
    try:
        completer.flush()
    finally:
        job_finished.disconnect(receive)

    for result in (bad, good):
        result.refresh()
    assert (bad.state, good.state) == ("FAILED", "READY")
    assert ends == [(UUID(bad.id), "FAILED")]
    assert not completer.in_flight
