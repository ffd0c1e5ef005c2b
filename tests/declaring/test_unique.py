import re

import pytest

from dbqueue import Unique, task
from dbqueue.exceptions import InvalidKey
from dbqueue.tasks import keys
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.unique import LEGAL
from tests.support import unique_tasks
from tests.support.processes import ROOT

PERIODS = {None: {}, "debounce": {"debounce": 5}, "throttle": {"throttle": 5}}
PERIODS["cooldown"] = {"cooldown": 5}


def every_way():
    for period in PERIODS:
        for until in (None, "finished", "started"):
            for then in (None, "skip", "replace", "raise"):
                yield period, until, then


def is_legal(period, until, then):
    return any(
        until in (None, way) and then in (None, *LEGAL[period][way])
        for way in LEGAL[period]
    )


@pytest.mark.parametrize(("period", "until", "then"), [*every_way()])
def test_what_goes_together_is_what_the_table_says(period, until, then):
    given = {"until": until, "on_conflict": then, **PERIODS[period]}

    if is_legal(period, until, then):
        made = Unique(**given)
        assert made.on_conflict in LEGAL[period][made.until]
    else:
        with pytest.raises(InvalidTask, match="does not go together"):
            Unique(**given)


def test_the_documented_table_is_the_one_that_is_checked():
    page = (ROOT / "docs" / "how-to" / "enqueue-once.md").read_text()
    table = page.partition("| Period | `until` | `on_conflict` |\n")[2].split("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[1:]]

    told = {
        (period.strip("`"), until.strip('`"'), tuple(re.findall(r'"(\w+)"', then)))
        for period, until, then in rows
    }
    assert told == {
        (period or "none", until or "none", ways)
        for period, untils in LEGAL.items()
        for until, ways in untils.items()
    }


def test_the_defaults_are_to_skip_until_the_end():
    made = Unique(key="number")

    assert (made.until, made.on_conflict) == ("finished", "skip")


def test_a_running_job_cannot_be_replaced():
    with pytest.raises(InvalidTask, match="say until='started'"):
        Unique(key="number", until="finished", on_conflict="replace")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key": 3}, "must be the name of an argument"),
        ({"key": ["a", 3]}, "must be the name of an argument"),
        ({"name": ""}, "1 to 100 printable"),
        ({"name": "x" * 101}, "1 to 100 printable"),
        ({"until": "ended"}, "until='finished'"),
        ({"on_conflict": "ignore"}, "on_conflict='skip'"),
        ({"debounce": 0}, "seconds above 0"),
        ({"throttle": -1}, "seconds above 0"),
        ({"cooldown": "1"}, "seconds above 0"),
        ({"throttle": True}, "seconds above 0"),
        ({"debounce": 5, "throttle": 5}, "Choose one of debounce and throttle"),
        ({"max_wait": 5}, "for debounce= alone"),
        ({"debounce": 5, "max_wait": 4}, "not be below debounce="),
    ],
)
def test_wrong_values_are_refused_in_words(given, words):
    with pytest.raises(InvalidTask, match=words):
        Unique(**given)


def test_a_key_that_is_async_is_refused():
    async def key(number):
        return number

    with pytest.raises(InvalidTask, match="is async"):
        Unique(key=key)


def test_a_key_that_names_no_argument_is_refused_with_the_nearest():
    with pytest.raises(InvalidTask, match="Did you mean 'number'"):

        @task(unique=Unique(key="numbr"))
        def declared(number):
            pass


def test_the_context_is_no_argument_of_a_job():
    with pytest.raises(InvalidTask, match="has no argument 'context'"):

        @task(unique=Unique(key="context"), takes_context=True)
        def declared(context, number):
            pass


def test_unique_is_a_unique():
    with pytest.raises(InvalidTask, match=r"must be a dbqueue\.Unique"):

        @task(unique="number")
        def declared(number):
            pass


def test_a_record_stays_as_long_as_its_cooldown():
    with pytest.raises(InvalidTask, match="below its cooldown"):

        @task(unique=Unique(cooldown=60), keep=30)
        def declared():
            pass


def key_of(declared, *args, **kwargs):
    return declared.unique.key_of(declared, list(args), kwargs)


def test_calls_that_mean_the_same_have_the_same_key():
    assert key_of(unique_tasks.report, 1) == key_of(unique_tasks.report, number=1)
    assert key_of(unique_tasks.of_all, 1) == key_of(unique_tasks.of_all, 1, note="none")
    assert key_of(unique_tasks.alone, 1) == key_of(unique_tasks.alone, 2)
    assert key_of(unique_tasks.with_context, 3) == key_of(
        unique_tasks.with_context, number=3
    )


def test_calls_that_differ_have_other_keys():
    assert key_of(unique_tasks.report, 1) != key_of(unique_tasks.report, "1")
    assert key_of(unique_tasks.report, 1) != key_of(unique_tasks.strict, 1)
    assert key_of(unique_tasks.of_all, 1) != key_of(unique_tasks.of_all, 1, note="x")
    assert key_of(unique_tasks.report, None) != key_of(unique_tasks.report, "null")


def test_tasks_may_share_keys():
    assert key_of(unique_tasks.shared_one, 1) == key_of(unique_tasks.shared_two, 1)


def test_keys_are_no_longer_than_their_column():
    one, two = (key_of(unique_tasks.report, "x" * 500 + end) for end in "ab")

    assert one != two
    assert len(one) == len(two) == keys.LENGTH


def test_a_function_may_say_that_a_call_has_no_key():
    assert key_of(unique_tasks.by_function, None) is None
    assert key_of(unique_tasks.by_function, 1, "x").endswith(':"x"')


def test_a_key_function_that_raises_is_named():
    with pytest.raises(InvalidKey, match="ZeroDivisionError"):
        key_of(unique_tasks.by_broken_function, 0)


def test_an_argument_that_is_not_given_by_name_is_asked_for():
    assert key_of(unique_tasks.named, name="x").endswith(':"x"')
    with pytest.raises(InvalidKey, match="was not given by its name"):
        key_of(unique_tasks.named, other="x")
