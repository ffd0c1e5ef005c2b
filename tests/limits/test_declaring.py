"""What @task(limit=..., fair=...) takes and refuses, and what a key may be."""

from datetime import timedelta

import pytest

from dbqueue import Fair, Limit, enqueue, enqueue_many, task
from dbqueue.exceptions import InvalidKey, InvalidLimit
from dbqueue.limits import registry
from dbqueue.limits.checks import check_limits
from dbqueue.models import Job
from dbqueue.tasks.framework import InvalidTask
from tests import tasks
from tests.support import limited_tasks as limited
from tests.support.lanes import ready, states


def forget_declarations(monkeypatch):
    """Let a test declare limits of tasks that others use."""
    monkeypatch.setattr(registry, "uses", {})
    monkeypatch.setattr("dbqueue.jobs.insert.shapes", {})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "Say concurrency=, rate= or ordered=True"),
        ({"concurrency": 0}, "from 1 to .*pause it"),
        ({"concurrency": -1}, "from 1 to"),
        ({"concurrency": 1.5}, "whole number"),
        ({"concurrency": True}, "whole number"),
        ({"concurrency": 10**7}, "from 1 to"),
        ({"rate": 0}, "rate=0 must be a whole number"),
        ({"rate": 5, "per": 0}, "seconds above 0"),
        ({"rate": 5, "per": "1s"}, "seconds above 0"),
        ({"concurrency": 5, "per": 1}, "are for rate="),
        ({"concurrency": 5, "burst": 2}, "are for rate="),
        ({"concurrency": 2, "ordered": True}, "leave out concurrency="),
        ({"ordered": "yes"}, "True or False"),
    ],
)
def test_a_limit_that_does_not_go_together_is_refused(values, words):
    with pytest.raises(InvalidLimit, match=words):
        Limit(**values)


@pytest.mark.parametrize("name", ["", "a:b", "a\n", "x" * 101, 7])
def test_a_name_that_no_lane_can_begin_with_is_refused(name):
    for kind in (lambda: Limit(name, concurrency=1), lambda: Fair(name, key="a")):
        with pytest.raises(InvalidTask, match="printable characters, without a colon"):
            kind()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"limit": Limit(key="c", concurrency=1)}, InvalidTask, "no argument 'c'"),
        ({"limit": 5}, InvalidLimit, "must be a Limit"),
        ({"fair": "a"}, InvalidLimit, "must be a Fair"),
        ({"fair": Fair(key="z")}, InvalidTask, "no argument 'z'"),
    ],
)
def test_what_is_no_limit_of_the_task_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        task(**given)(tasks.add.func)


@pytest.mark.parametrize(
    ("limit", "fair", "words"),
    [
        (Limit("x", concurrency=1), Fair("y", key="a"), "name one of them"),
        (Limit(key="a", ordered=True), Fair(key="a"), "take no turns"),
        (Limit(key="b", concurrency=1), Fair(key="a"), "a job has one lane"),
        (Limit(key="a", rate=1), Fair(key="a"), "that of the group"),
    ],
)
def test_a_limit_and_turns_that_do_not_go_together_are_refused(
    limit, fair, words, monkeypatch
):
    forget_declarations(monkeypatch)

    with pytest.raises(InvalidLimit, match=words):
        task(limit=limit, fair=fair)(tasks.add.func)


@pytest.mark.parametrize("weight", [5, {"a": 0}, {"a": "5"}, {"a": 1001}])
def test_a_weight_that_no_lane_can_have_is_refused(weight):
    with pytest.raises(InvalidLimit, match="weight="):
        Fair(key="a", weight=weight)


def test_two_declarations_of_a_limit_that_differ_are_refused(monkeypatch):
    forget_declarations(monkeypatch)
    task(limit=Limit("shared", concurrency=1))(tasks.add.func)
    task(limit=Limit("shared", concurrency=1))(tasks.noop.func)

    with pytest.raises(
        InvalidLimit, match=r"'shared' as concurrency=2.* concurrency=1"
    ):
        task(limit=Limit("shared", concurrency=2))(tasks.snooze.func)


def test_a_declaration_that_is_refused_leaves_nothing_behind(monkeypatch):
    forget_declarations(monkeypatch)
    task(limit=Limit("shared", concurrency=1))(tasks.add.func)

    for wrong in ({"limit": Limit("shared", concurrency=2)}, {"limit": 5}):
        with pytest.raises(InvalidLimit):
            task(**wrong)(tasks.snooze.func)

    (rule,) = registry.rules().values()
    assert rule.concurrency == 1
    assert check_limits() == []


def test_a_limit_is_the_same_if_its_time_is_said_otherwise(monkeypatch):
    forget_declarations(monkeypatch)
    task(limit=Limit("shared", rate=5, per=timedelta(minutes=1)))(tasks.add.func)

    task(limit=Limit("shared", rate=5, per=60, burst=1))(tasks.noop.func)

    (rule,) = registry.rules().values()
    assert (rule.rate, rule.per, rule.burst) == (5, 60.0, 1)


@pytest.mark.django_db(transaction=True)
class TestKeys:
    def lane(self):
        return Job.objects.get().lane

    @pytest.mark.parametrize(
        ("user", "lane"),
        [
            (7, "one:7"),
            ("7", "one:7"),
            ("Ada:x,y'\"", "one:Ada:x,y'\""),
            (None, "one:null"),
            ([1, "a"], 'one:[1,"a"]'),
            ("", "one:"),
            ("ä€", "one:ä€"),
        ],
    )
    def test_a_lane_is_named_by_the_value_of_its_key(self, worker, user, lane):
        enqueue(limited.one, user)

        assert self.lane() == lane
        assert states() == {"BLOCKED": 1}
        assert len(ready()) == 1

    def test_long_values_have_lanes_of_their_own(self, worker):
        enqueue_many(limited.one, [("x" * 500 + end,) for end in "abb"])

        lanes = Job.objects.values_list("lane", flat=True)
        assert len(set(lanes)) == 2
        assert {len(lane) for lane in lanes} == {200}

    def test_a_key_that_raises_writes_nothing_and_names_the_call(self, worker):
        with pytest.raises(InvalidKey, match=r"limit of .*busy.*TypeError"):
            enqueue(limited.busy, 7)
        with pytest.raises(InvalidKey, match=r"Call 2: .*TypeError"):
            enqueue_many(limited.busy, [("a",), (7,)])

        assert not Job.objects.exists()

    def test_a_job_whose_key_is_none_has_no_limit(self, worker):
        enqueue_many(limited.busy, [("",), ("a",)])

        assert states(lane=None) == {"READY": 1}
        assert states(lane="few:a") == {"BLOCKED": 1}

    def test_the_states_of_many_are_those_of_their_lanes(self, worker):
        results = enqueue_many(limited.busy, [("",), ("a",)])

        assert [result.state for result in results] == ["READY", "BLOCKED"]


def test_a_rate_that_its_burst_cannot_reach_is_told_by_check(monkeypatch):
    forget_declarations(monkeypatch)
    task(limit=Limit("fast", rate=500))(tasks.add.func)
    task(limit=Limit("fit", rate=500, burst=50))(tasks.noop.func)

    (told,) = check_limits()

    assert told.id == "dbqueue.W014"
    assert "'fast'" in told.msg


def test_limits_that_differ_by_their_turns_are_told_by_check(monkeypatch):
    forget_declarations(monkeypatch)
    shared = Limit("shared", concurrency=1)
    task(limit=shared)(tasks.add.func)
    task(limit=shared, fair=Fair(key="seconds"))(tasks.snooze.func)

    (told,) = check_limits()

    assert told.id == "dbqueue.E008"
