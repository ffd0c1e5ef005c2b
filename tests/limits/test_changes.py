"""Limits that are changed, paused and pruned while jobs run."""

from threading import Thread

import pytest
from django.db import connection

from dbqueue import dialects, enqueue, enqueue_many, limits
from dbqueue.dialects import hooks
from dbqueue.exceptions import InvalidLimit, UnknownLimit
from dbqueue.limits import changes, duties, registry, rules
from dbqueue.limits.models import Lane, LimitRule
from dbqueue.models import Job, Pause
from tests.support import limited_tasks as limited
from tests.support.lanes import ALIAS, ready, states
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)


def pause(key):
    dialect = dialects.of(ALIAS)
    with dialect.one_commit():
        Pause.objects.create(key=key, paused_at=dialect.clock())
        for hook in hooks.after_pause:
            hook(ALIAS, key)


def resume(key):
    Pause.objects.filter(pk=key).delete()


def test_a_lowered_limit_takes_back_what_is_ready_and_leaves_what_runs(worker):
    enqueue_many(limited.ten, [()] * 20)
    ready()
    running = worker.claim(4)

    limits.set("ten", concurrency=5, by="Ada")

    assert states() == {"RUNNING": 4, "READY": 1, "BLOCKED": 15}
    limits.set("ten", concurrency=2)
    assert states() == {"RUNNING": 4, "BLOCKED": 16}
    worker.finish_all(running[:2])
    assert ready() == set()
    worker.finish(running[2])
    assert len(ready()) == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="there is one writer")
def test_for_one_that_is_claimed_meanwhile_another_is_taken_back(worker):
    enqueue_many(limited.ten, [()] * 3)
    enqueue(limited.ten.using(queue_name="other"))
    ready()
    other = HandWorker("other")
    claims = []

    def claim():
        claims.extend(other.claim())
        connection.close()

    def claim_between(execute, sql, *rest):
        if "SET state = 'BLOCKED'" in sql and not claims:
            thread = Thread(target=claim)
            thread.start()
            thread.join()
        return execute(sql, *rest)

    with connection.execute_wrapper(claim_between):
        limits.set("ten", concurrency=3)

    assert len(claims) == 1
    assert states() == {"RUNNING": 1, "READY": 2, "BLOCKED": 1}


def test_the_last_in_the_order_are_taken_back_first(worker):
    low = enqueue(limited.two.using(priority=-5))
    high = enqueue(limited.two)
    ready()

    limits.set("two", concurrency=1)

    assert ready() == {high.id}
    assert Job.objects.blocked().get().pk.hex == low.id.replace("-", "")


def test_what_was_set_is_there_until_it_is_reset(worker):
    enqueue_many(limited.two, [()] * 5)
    ready()
    limits.set("two", concurrency=4, by="Ada")

    assert len(ready()) == 4
    row = LimitRule.objects.get(pk="two")
    assert (row.concurrency, row.set_concurrency, row.set_by) == (2, 4, "Ada")

    limits.reset("two")
    assert len(ready()) == 2


def test_a_lane_may_have_a_limit_of_its_own(worker):
    enqueue_many(limited.one, [(user,) for user in (1, 1, 2, 2)])

    limits.set("one", lane="1", concurrency=2)

    ready()
    assert states(lane="one:1") == {"READY": 2}
    assert states(lane="one:2") == {"READY": 1, "BLOCKED": 1}
    limits.reset("one", lane="1")
    assert states(lane="one:1") == {"READY": 1, "BLOCKED": 1}


@pytest.mark.parametrize(
    ("name", "values", "error", "words"),
    [
        ("on", {"concurrency": 1}, UnknownLimit, "Did you mean 'one'"),
        (None, {"concurrency": 1}, UnknownLimit, "None is not the name"),
        ("one", {}, InvalidLimit, "nothing to set"),
        ("one", {"concurrency": 0}, InvalidLimit, "pause it"),
        ("one", {"concurrency": True}, InvalidLimit, "whole number"),
        ("one", {"concurrency": "5"}, InvalidLimit, "whole number"),
        ("one", {"rate": 5}, InvalidLimit, "declares no rate="),
        ("paced", {"per": 0}, InvalidLimit, "seconds above 0"),
        ("paced", {"burst": -1}, InvalidLimit, "whole number"),
        ("order", {"concurrency": 2}, InvalidLimit, "is ordered"),
        ("one", {"weight": 2}, InvalidLimit, "name it by lane="),
        ("one", {"weight": 2, "lane": "1"}, InvalidLimit, "has no turns"),
        ("one", {"lane": 1, "concurrency": 2}, InvalidLimit, "as text"),
        ("paced", {"lane": "", "rate": 2}, InvalidLimit, "only concurrency"),
        ("tenants", {"lane": "a", "weight": 0}, InvalidLimit, "weight=0"),
    ],
)
def test_what_cannot_be_set_is_refused_and_changes_nothing(name, values, error, words):
    with pytest.raises(error, match=words):
        limits.set(name, **values)

    row = LimitRule.objects.filter(set_at=None)
    assert row.count() == LimitRule.objects.count()
    assert not Lane.objects.exists()


@pytest.mark.parametrize("key", ["limit:two", "lane:two:", "queue:default"])
def test_what_is_paused_lets_nothing_in_and_gives_back_what_is_ready(worker, key):
    enqueue_many(limited.two, [()] * 4)
    ready()
    (running,) = worker.claim()

    pause(key)

    assert states() == {"RUNNING": 1, "BLOCKED": 3}
    worker.finish(running)
    assert ready() == set()
    resume(key)
    assert len(ready()) == 2


def test_a_paused_task_holds_no_place_in_a_lane_that_it_shares(worker):
    enqueue(limited.two)
    pause("task:tests.support.limited_tasks.two")
    assert ready() == set()

    other = enqueue_many(limited.ten, [()])[0]

    assert ready() == {other.id}


@pytest.mark.parametrize("key", ["lane:tenants:a", "limit:tenants"])
def test_a_lane_of_a_fair_group_can_be_paused(worker, key):
    for tenant in "ab":
        enqueue_many(limited.share, [(tenant, "")] * 3)
    assert len(ready()) == 6

    pause(key)

    waits = {"lane": "tenants:a"} if key.startswith("lane") else {}
    assert states(**waits).keys() == {"BLOCKED"}
    assert states()["READY"] == (3 if waits else 0)
    assert len(ready()) == (3 if waits else 0)


def test_a_limit_that_is_declared_lower_holds_when_a_worker_starts(worker, monkeypatch):
    enqueue_many(limited.ten, [()] * 10)
    ready()
    lower = registry.Rule("ten", concurrency=3)
    monkeypatch.setitem(registry.rules(), "ten", lower)

    changes.declare(ALIAS)

    assert states() == {"READY": 3, "BLOCKED": 7}
    assert rules.changed(ALIAS) == []
    monkeypatch.undo()
    changes.declare(ALIAS)
    assert len(ready()) == 10


def test_lanes_that_have_nothing_to_tell_are_pruned(worker):
    enqueue_many(limited.one, [(user,) for user in range(6)])
    ready()
    claimed = worker.claim(6)
    worker.finish_all(claimed[:4])
    enqueue(limited.one, 0)
    limits.set("one", lane="1", concurrency=5)
    assert duties.prune(ALIAS) == 0

    Lane.objects.update(used_at=1.0)

    assert duties.prune(ALIAS) == 2
    left = {claimed[4].lane, claimed[5].lane, "one:0", "one:1"}
    assert set(Lane.objects.values_list("pk", flat=True)) >= left
