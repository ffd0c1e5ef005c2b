"""Why a job with a lane is not running, in words."""

import pytest

from dbqueue import dialects, enqueue, enqueue_many, limits, status
from dbqueue.limits.models import LimitRule
from dbqueue.models import Job, Pause
from tests.support import limited_tasks as limited
from tests.support.lanes import ALIAS, ready

pytestmark = pytest.mark.django_db(transaction=True)


def why(**conditions):
    return status.reason(Job.objects.blocked().filter(**conditions).first())


def test_a_full_lane_is_told_with_those_who_hold_it(worker):
    first, _ = enqueue_many(limited.one, [(7,), (7,)])
    ready()

    assert why() == f"Lane 'one:7' is full: 1 of 1, held by {first.id}."
    enqueue_many(limited.ten, [()] * 11)
    ready()
    assert "is full: 10 of 10, held by " in why(lane="ten:")
    assert "and 7 more." in why(lane="ten:")


def test_a_job_with_room_in_its_lane_and_no_worker_is_told_so():
    enqueue(limited.one, 7)

    assert "No live worker takes the queue 'default'" in why()


def test_the_head_of_an_order_is_told_with_its_state(worker):
    first, _ = enqueue_many(limited.step, [(1, "a"), (1, "b")])
    ready()
    (job,) = worker.claim()
    worker.release(job, delay=60, failed=1)

    said = f"Lane 'order:1' is in order, and its head {first.id} is scheduled."
    assert why() == said


def test_a_rate_tells_when_its_next_token_comes(worker):
    enqueue_many(limited.paced, [()] * 4)
    ready()

    assert "has used up its rate; its next token is in 3" in why()
    assert 300 < limits.status("paced").next_token <= 360


def test_a_pause_is_told_with_who_and_why(worker):
    enqueue(limited.two)
    now = dialects.of(ALIAS).clock()
    pause = {"paused_at": now, "paused_by": "Ada", "reason": "The API is down."}
    Pause.objects.create(key="limit:two", **pause)

    assert why() == "The limit 'two' is paused by Ada: The API is down."


def test_a_limit_that_nobody_has_declared_is_told(worker):
    enqueue(limited.two)
    LimitRule.objects.all().delete()
    Job.objects.update(lane="gone:1")

    assert "No live worker has declared the limit 'gone'" in why()
    assert ready() == set()


def test_turns_are_told(worker):
    enqueue_many(limited.share, [("a", str(n)) for n in range(50)])
    ready()

    assert why() == "It waits for its turn in the fair group 'tenants'."


def test_a_lane_tells_its_state(worker):
    enqueue_many(limited.one, [(7,)] * 3)
    ready()

    lane = limits.status("one", "7")

    assert (lane.key, lane.most, lane.blocked, lane.is_paused) == ("one:7", 1, 2, False)
    assert lane.held_by == [str(Job.objects.ready().get().pk)]
    assert limits.status("nothing") is None


def test_a_lane_heals_that_lists_jobs_which_are_gone(worker):
    enqueue_many(limited.one, [(7,)] * 3)
    ready()
    Job.objects.ready().delete()

    assert len(ready()) == 1
