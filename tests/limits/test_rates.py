"""Rates: no more jobs start in a time than a limit says."""

import pytest

from dbqueue import enqueue_many
from dbqueue.limits.facts import STEP, UNCLAIMED
from dbqueue.limits.models import Lane
from dbqueue.maintenance.gates import sweep
from tests.support import limited_tasks as limited
from tests.support.lanes import ALIAS, facts, ready, states, worked_off


@pytest.mark.parametrize(
    ("spent_until", "burst", "free"),
    [
        (None, 1, 1),
        (None, 5, 5),
        (0.0, 5, 5),
        (1000.0, 5, 0),
        (999.95, 5, 0),
        (999.9, 5, 1),
        (999.75, 5, 2),
        (1007.0, 5, 0),
    ],
)
def test_tokens_come_evenly_and_a_burst_of_them_is_kept(spent_until, burst, free):
    assert facts(spent_until=spent_until, burst=burst).free() == free


def test_what_has_not_started_counts_against_the_burst():
    holders = {"a": "READY", "b": "READY", "c": "RUNNING"}

    assert facts(burst=3, holders=holders).free() == 1
    assert facts(burst=3, concurrency=4, holders=holders).free() == 1
    assert facts(burst=3, concurrency=3, holders=holders).free() == 0


def test_the_next_token_says_when_to_try_again():
    assert facts(spent_until=1000.0).again(0) == pytest.approx(0.1)
    assert facts(spent_until=999.901).again(0) == STEP
    assert facts(burst=2).again(2) == UNCLAIMED
    assert facts().again(0) is None
    assert facts(holders={"a": "READY"}).again(0) == UNCLAIMED
    assert facts(concurrency=1, holders={"a": "RUNNING"}).again(0) is None
    assert facts(is_paused=True).again(0) is None
    assert facts(rate=None, per=None).again(0) is None


def test_an_impossible_clock_lets_nothing_in_beyond_a_burst():
    assert facts(spent_until=-1e9, burst=2).free() == 2
    assert facts(spent_until=1e12, burst=2).free() == 0


@pytest.mark.django_db(transaction=True)
def test_a_lane_starts_a_burst_and_then_waits_for_tokens(worker):
    enqueue_many(limited.paced, [()] * 10)

    assert len(ready()) == 3
    assert len(worked_off(worker)) == 3

    assert states() == {"BLOCKED": 7}
    (again,) = sweep(ALIAS).again.items()
    assert again[0] == "paced:"
    assert 300 < again[1] <= 360
    Lane.objects.update(spent_until=Lane.objects.get().spent_until - 720)
    assert len(worked_off(worker)) == 2
