"""Jobs that are unique and have a lane, and those that expire in one."""

from datetime import timedelta

import pytest
from django.utils import timezone

from dbqueue import enqueue, enqueue_many
from dbqueue.jobs.moves import retry
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.gates import sweep
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests.support import unique_tasks
from tests.support.lanes import ALIAS, states, worked_off

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_that_is_blocked_stands():
    first = enqueue(unique_tasks.laned, 1)
    second = enqueue(unique_tasks.laned, 1)

    assert (first.state, second.state) == ("BLOCKED", "BLOCKED")
    assert (second.id, second.was_enqueued) == (first.id, False)


def test_of_many_those_that_are_new_wait_in_their_lane(worker):
    enqueue(unique_tasks.laned, 1)

    results = enqueue_many(unique_tasks.laned, [(1,), (2,), (3,)])

    assert [r.was_enqueued for r in results] == [False, True, True]
    assert [r.state for r in results] == ["BLOCKED"] * 3
    assert len(worked_off(worker)) == 3


def test_a_job_that_is_replaced_moves_to_the_lane_of_its_new_arguments(worker):
    first = enqueue(unique_tasks.laned_latest, 1, note="a")
    sweep(ALIAS)
    assert states() == {"READY": 1}

    second = enqueue(unique_tasks.laned_latest, 1, note="b")

    job = Job.objects.get()
    assert (second.id, second.state) == (first.id, "BLOCKED")
    assert (job.lane, job.kwargs) == ("replaced lane:b", {"note": "b"})
    # The lane that it has left is free, and its own lets it in.
    enqueue(unique_tasks.laned_latest, 2, note="a")
    assert len(worked_off(worker)) == 2


def test_a_job_that_expires_in_its_lane_gives_up_its_place(worker):
    enqueue_many(unique_tasks.laned, [(1,), (2,)])
    sweep(ALIAS)
    late = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(state="READY").update(expires_at=late)

    expire(ALIAS)

    assert states() == {"BLOCKED": 1}
    assert len(worked_off(worker)) == 1


def test_a_claim_of_a_job_that_has_expired_lets_the_next_one_in():
    first, second = enqueue_many(unique_tasks.laned, [(1,), (2,)])
    late = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(pk=first.id).update(expires_at=late)

    (ran,) = run_jobs()

    assert ran.id == second.id
    assert states() == {}


def test_a_retry_of_a_job_goes_back_to_its_lane_and_its_key():
    enqueue(unique_tasks.laned, 1)
    run_jobs()

    retry(ALIAS, [FinishedJob.objects.get().pk])

    assert states() == {"BLOCKED": 1}
    assert not enqueue(unique_tasks.laned, 1).was_enqueued
    assert len(run_jobs()) == 1
