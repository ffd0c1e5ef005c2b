import time
from threading import Thread
from uuid import UUID

import pytest

from dbqueue import enqueue_many
from dbqueue.jobs.outcomes import untouched
from dbqueue.maintenance.gates import sweep
from dbqueue.models import FinishedJob, Job
from dbqueue.signals import job_finished
from dbqueue.worker.loop import prefetch
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.loop.polling import Polling
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.run.pool import Pool
from dbqueue.worker.shared import make_children
from tests import tasks
from tests.support import limited_tasks as limited

pytestmark = pytest.mark.django_db


@pytest.fixture
def completer(worker):
    return Completer(worker.dialect, worker.id, WakePipe())


class TestCollecting:
    @pytest.fixture(autouse=True)
    def patient(self, monkeypatch):
        """Wait for so long that a thread can answer, on a busy machine, too."""
        monkeypatch.setattr(prefetch, "MOMENT", 1.0)

    def follow(self, worker, completer, calls):
        """End the first job; once that is collected, another thread ends the next."""
        enqueue_many(*calls)
        sweep("default")
        ended = []
        for job in worker.claim(2):
            completer.accept(job, Pool(1, None, None, completer.done))
            outcome = worker.run(job)
            outcome.duration = 0.0  # whatever else the machine does
            ended.append((job, outcome))
        first, second = ended

        def then():
            while not completer.has_outcomes():
                time.sleep(0.001)
            completer.done(*second)

        thread = Thread(target=then)
        thread.start()
        completer.done(*first)
        durations = completer.collect()
        thread.join()
        return len(durations)

    def test_a_brief_job_of_a_lane_waits_for_others_of_the_lane(
        self, worker, completer
    ):
        calls = limited.two, [("a",), ("b",)]

        assert self.follow(worker, completer, calls) == 2

    @pytest.mark.parametrize("declared", [tasks.echo, limited.one])
    def test_jobs_of_no_lane_or_of_others_are_not_waited_for(
        self, declared, worker, completer, monkeypatch
    ):
        monkeypatch.setattr(prefetch, "MOMENT", 60.0)
        began = time.monotonic()

        self.follow(worker, completer, (declared, [(1,), (2,)]))

        assert time.monotonic() - began < 50.0


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
