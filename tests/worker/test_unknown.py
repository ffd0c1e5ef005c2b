"""Jobs of tasks that a worker does not know, and those behind them."""

import pytest

from dbqueue import enqueue_many
from dbqueue.dialects import scan
from dbqueue.models import FinishedJob, Job
from tests import tasks
from tests.support.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)


def test_many_jobs_of_more_unknown_tasks_than_a_claim_can_name_pass_quickly(
    monkeypatch,
):
    monkeypatch.setattr(scan, "MOST_UNKNOWN", 0)
    enqueue_many(tasks.noop, [()] * 1000)
    Job.objects.update(task="tests.gone.task")
    enqueue_many(tasks.noop, [()])

    drain(threads=1)

    assert FinishedJob.objects.get().state == "SUCCESSFUL"
    claims = Job.objects.values_list("last_attempted_at").distinct()
    assert claims.count() < 200
