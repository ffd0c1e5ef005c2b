import pytest

from dbqueue.models import FinishedJob, Job
from dbqueue.worker.bell import Bell
from dbqueue.worker.ledger import Ledger
from dbqueue.worker.records import untouched
from tests import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def ledger(worker):
    return Ledger(worker.dialect, worker.id, Bell())


class TestReconciling:
    def test_reconciling_gives_back_what_a_lost_answer_has_hidden(self, worker, ledger):
        tasks.noop.enqueue()
        worker.claim()

        ledger.reconcile()

        assert Job.objects.get().state == "READY"

    def test_reconciling_leaves_what_is_in_flight(self, worker, ledger):
        tasks.noop.enqueue()
        (job,) = worker.claim()
        ledger.take_on(job, None)

        ledger.reconcile()

        assert Job.objects.get().state == "RUNNING"

    def test_reconciling_finds_a_job_that_one_lost_answer_gave_back_and_claimed_again(
        self, worker, ledger
    ):
        tasks.noop.enqueue()
        (job,) = worker.claim()
        ledger.take_on(job, None)
        ledger.done(job, untouched(job))
        ledger.collect()
        worker.dialect.exchange(worker.id, [untouched(job)], worker.scan, 1)
        assert Job.objects.get().attempt == 2

        ledger.reconcile()

        assert Job.objects.get().state == "READY"
        assert not ledger.in_flight
        assert not FinishedJob.objects.exists()
