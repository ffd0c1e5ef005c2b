"""Ordered lanes: one job after the other, and one that is retried holds the lane."""

import pytest

from dbqueue import enqueue, enqueue_many, jobs
from dbqueue.models import Job
from tests.support import limited_tasks as limited
from tests.support.lanes import ready, states, worked_off

pytestmark = pytest.mark.django_db(transaction=True)


def test_jobs_of_an_ordered_lane_run_one_after_the_other_as_they_came(worker):
    results = [enqueue(limited.step, 1, str(n)) for n in range(4)]

    assert ready() == {results[0].id}
    done = worked_off(worker)

    assert [str(job.id) for job in done] == [result.id for result in results]


def test_a_higher_priority_goes_before_those_that_have_not_begun(worker):
    first, late = (enqueue(limited.step, 1, text) for text in ("first", "late"))
    ready()
    urgent = enqueue(limited.step.using(priority=50), 1, "urgent")

    done = worked_off(worker)

    assert [str(job.id) for job in done] == [first.id, urgent.id, late.id]


def test_a_retry_keeps_the_lane_until_it_has_ended(worker):
    first, second = enqueue_many(limited.step, [(1, "a"), (1, "b")])
    ready()
    (job,) = worker.claim()
    worker.release(job, delay=3600, failed=1)

    assert ready() == set()
    assert states() == {"SCHEDULED": 1, "BLOCKED": 1}

    enqueue(limited.step.using(priority=100), 1, "urgent")
    jobs.run_now(first.id)
    assert ready() == {first.id}
    assert len(worked_off(worker)) == 3
    assert second.id


def test_a_job_that_fails_for_good_leaves_the_lane_to_the_next(worker):
    _, second = enqueue_many(limited.step, [(1, "a"), (1, "b")])
    ready()
    (job,) = worker.claim()

    worker.finish(job, state="FAILED")

    assert ready() == {second.id}


def test_a_cancelled_head_leaves_the_lane_to_the_next(worker):
    first, second = enqueue_many(limited.step, [(1, "a"), (1, "b")])
    assert ready() == {first.id}

    jobs.cancel(first.id)

    assert ready() == {second.id}


def test_ordered_lanes_do_not_wait_for_each_other(worker):
    results = enqueue_many(limited.step, [(order, "") for order in (1, 2, 1, 3)])

    assert ready() == {results[place].id for place in (0, 1, 3)}
    assert Job.objects.blocked().get().lane == "order:1"
