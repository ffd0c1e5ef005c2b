"""Fair groups: lanes take turns, whatever waits in one of them."""

from collections import Counter

import pytest

from dbqueue import enqueue, enqueue_many
from dbqueue.limits.facts import SMALLEST, WINDOW
from tests.support import limited_tasks as limited
from tests.support.lanes import facts, ready, states, worked_off

pytestmark = pytest.mark.django_db(transaction=True)


def tenants(jobs):
    return [job.lane.partition(":")[2] for job in jobs]


def test_small_tenants_do_not_wait_behind_a_big_one(worker):
    enqueue_many(limited.share, [("big", str(n)) for n in range(3 * WINDOW)])
    enqueue_many(limited.share, [(f"small{n}", "") for n in range(5)])

    ready()

    assert states(lane__startswith="tenants:small") == {"READY": 5}
    assert states(lane="tenants:big")["READY"] == SMALLEST - 5


def test_those_that_come_later_do_not_wait_for_more_than_two_windows(worker):
    enqueue_many(limited.share, [("big", str(n)) for n in range(4 * WINDOW)])
    tenants(worked_off(worker, WINDOW))
    enqueue_many(limited.share, [("small", str(n)) for n in range(3)])

    done = tenants(worked_off(worker, 2 * WINDOW + 3))

    assert done.count("small") == 3


def test_a_lane_starts_as_many_in_its_turn_as_its_weight(worker):
    for tenant in ("a", "big", "c"):
        enqueue_many(limited.weighed, [(tenant, str(n)) for n in range(WINDOW)])

    done = Counter(tenants(worked_off(worker, WINDOW)))

    for tenant, share in (("a", 1), ("big", 3), ("c", 1)):
        assert done[tenant] == pytest.approx(WINDOW * share / 5, abs=WINDOW / 8)


def test_turns_go_on_where_they_stopped(worker):
    for tenant in "abc":
        enqueue_many(limited.together, [(tenant, str(n)) for n in range(8)])

    done = tenants(worked_off(worker))

    assert len(done) == 24
    for places in range(6, 24, 6):
        counts = Counter(done[:places])
        assert max(counts.values()) - min(counts.values()) <= 2


def test_a_window_is_as_large_as_jobs_are_short():
    def size(waited, before):
        changes = {"key": "g", "is_fair": True, "size": before}
        return facts(now=1000.0, used_at=1000.0 - waited, **changes).window()

    assert size(0.01, 8) == 16
    assert size(0.01, WINDOW) == WINDOW
    assert size(0.3, 50) == 50
    assert size(5.0, 50) == 25
    assert size(5.0, 8) == SMALLEST
    assert size(5.0, 0) == SMALLEST


def test_a_limit_beside_turns_holds_for_each_lane_if_it_has_their_key(worker):
    for tenant in "ab":
        enqueue_many(limited.each, [(tenant, str(n)) for n in range(3)])

    ready()
    assert states(lane="each:a") == {"READY": 1, "BLOCKED": 2}
    assert states(lane="each:b") == {"READY": 1, "BLOCKED": 2}

    claimed = worker.claim(6)
    assert len(claimed) == 2
    ready()
    assert states()["READY"] == 0
    worker.finish_all(claimed)
    assert sorted(tenants(worked_off(worker))) == ["a", "a", "b", "b"]


def test_a_limit_beside_turns_holds_for_the_group_if_it_has_no_key(worker):
    for tenant in "abcdef":
        enqueue_many(limited.together, [(tenant, str(n)) for n in range(2)])

    assert len(ready()) == 4
    claimed = worker.claim(12)
    assert len(claimed) == 4
    assert ready() == set()
    worker.finish(claimed[0])
    assert states()["READY"] == 1


def test_priorities_count_within_a_lane(worker):
    low = enqueue(limited.together, "a", "low")
    high = enqueue(limited.together.using(priority=10), "a", "high")
    other = enqueue(limited.together.using(priority=-10), "b", "other")

    done = worked_off(worker)

    assert {str(job.id) for job in done} == {low.id, high.id, other.id}
    places = [str(job.id) for job in done]
    assert places.index(high.id) < places.index(low.id)
