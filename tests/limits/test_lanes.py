"""Jobs of a lane: no more of them are ready or running than its limit."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbqueue import enqueue, enqueue_many
from dbqueue.dialects.gates import NEWS
from dbqueue.jobs import moves, wakeup
from dbqueue.maintenance.gates import sweep
from dbqueue.maintenance.promote import promote
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support import limited_tasks as limited
from tests.support.lanes import ALIAS, states

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_job_with_a_lane_is_blocked_until_its_gate_lets_it_in(worker):
    result = enqueue(limited.one, 7)

    assert result.state == "BLOCKED"
    assert Job.objects.get().lane == "one:7"
    assert worker.claim() == []
    sweep(ALIAS)
    (job,) = worker.claim()
    assert str(job.id) == result.id
    assert job.lane == "one:7"


def test_no_more_jobs_of_a_lane_enter_than_its_limit(worker):
    enqueue_many(limited.two, [()] * 5)

    sweep(ALIAS)
    sweep(ALIAS)

    assert states() == {"READY": 2, "BLOCKED": 3}
    claimed = worker.claim(5)
    assert len(claimed) == 2
    sweep(ALIAS)
    assert worker.claim(5) == []


def test_each_value_of_the_key_has_a_lane_of_its_own(worker):
    enqueue_many(limited.one, [(user,) for user in (1, 1, 2, "2", "two")])

    sweep(ALIAS)

    lanes = Job.objects.filter(state="READY").values_list("lane", flat=True)
    assert sorted(lanes) == ["one:1", "one:2", "one:two"]


@pytest.mark.parametrize("declared", [limited.one, limited.step])
def test_many_lanes_are_let_in_by_as_many_statements_as_few(declared, worker):
    sweep(ALIAS)
    asked = []
    for lanes in (range(5), range(5, 55)):
        enqueue_many(declared, [(lane,) for lane in lanes])
        with CaptureQueriesContext(connection) as captured:
            sweep(ALIAS)
        asked.append(len(captured))
        assert len(worker.claim(100)) == len(lanes)

    few, many = asked
    assert many <= few


def test_the_end_of_a_job_lets_the_next_one_in_in_the_same_commit(worker):
    enqueue_many(limited.one, [(1, text) for text in "abc"])
    sweep(ALIAS)

    for text in "abc":
        (job,) = worker.claim()
        assert text in job.args
        assert states(lane="one:1").get("READY") is None
        worker.finish(job)

    assert FinishedJob.objects.filter(lane="one:1").count() == 3


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_job_that_goes_back_leaves_its_lane_to_the_next(worker, delay):
    first, second = enqueue_many(limited.one, [(1, "a"), (1, "b")])
    sweep(ALIAS)
    (job,) = worker.claim()

    worker.release(job, delay=delay)

    ready = Job.objects.get(state="READY")
    assert str(ready.pk) == (second.id if delay else first.id)
    assert Job.objects.exclude(pk=ready.pk).get().state == (
        "SCHEDULED" if delay else "BLOCKED"
    )


def test_a_scheduled_job_of_a_lane_waits_for_room_when_it_is_due(worker):
    enqueue(limited.one, 1)
    late = enqueue(limited.one.using(run_after=timedelta(hours=1)), 1)
    assert late.state == "SCHEDULED"
    sweep(ALIAS)
    moves.make_due(ALIAS)

    assert promote(ALIAS) == set()

    assert Job.objects.get(pk=late.id).state == "BLOCKED"
    (job,) = worker.claim(2)
    worker.finish(job)
    assert Job.objects.get(pk=late.id).state == "READY"


def test_jobs_without_a_lane_are_as_they_were(worker):
    enqueue_many(limited.two, [()] * 3)
    enqueue_many(tasks.noop, [()] * 3)

    assert states(lane=None) == {"READY": 3}
    assert len(run_jobs()) == 6


def test_news_of_a_gate_names_its_lane(monkeypatch):
    told = []
    monkeypatch.setattr(wakeup, "announce", lambda alias, name: told.append(name))

    enqueue(limited.one, 7)
    enqueue_many(limited.one, [(user,) for user in range(3)])
    enqueue_many(limited.one, [(user,) for user in range(100)])

    assert told[0] == f"{NEWS}one:7"
    assert sorted(told[1:4]) == [f"{NEWS}one:{user}" for user in range(3)]
    assert told[4:] == [NEWS]
