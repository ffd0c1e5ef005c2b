"""Pauses of limits, of lanes, and of tasks and queues whose jobs have lanes."""

import pytest

from dbqueue import enqueue, enqueue_many, queues, status
from dbqueue.maintenance import parking
from dbqueue.maintenance.gates import make_ready
from dbqueue.models import Job
from tests.support import limited_tasks as limited
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)


def claim(worker):
    make_ready("default")
    return worker.claim(10)


@pytest.mark.parametrize("how", ["limit", "lane", "task", "queue"])
def test_nothing_with_a_lane_starts_while_it_is_paused(how):
    task = limited.one
    enqueue_many(task, [(7,)] * 3)
    lane = Job.objects.values_list("lane", flat=True)[0]
    name = {
        "limit": lane.partition(":")[0],
        "lane": lane,
        "task": task.module_path,
        "queue": task.queue_name,
    }[how]
    worker = HandWorker()
    make_ready("default")
    queues.pause(f"{how}:{name}")

    assert claim(worker) == []

    assert "paused" in status.reason(Job.objects.first())
    queues.resume(f"{how}:{name}")
    parking.sweep("default")
    (job,) = claim(worker)
    assert claim(worker) == []
    worker.finish_all([job])
    assert len(claim(worker)) == 1


def test_a_job_of_a_lane_that_a_claim_has_parked_goes_back_to_its_lane():
    result = enqueue(limited.one, 7)
    make_ready("default")
    # As if it had become ready a moment after the pause had looked.
    queues.pause(limited.one)
    Job.objects.update(state="READY")
    worker = HandWorker()
    assert worker.claim(10) == []
    assert Job.objects.get().state == "PAUSED"

    queues.resume(limited.one)

    assert Job.objects.get().state == "BLOCKED"
    assert [str(job.id) for job in claim(worker)] == [result.id]
