"""Progress through rows."""

import pytest
from django.contrib.auth.models import Group

from dbqueue.progress.tracking import Tracked
from dbqueue.tasks.results import Progress, progress_of
from dbqueue.testing import run_jobs
from tests.progress import tasks


class Clock:
    """Goes on by a second with each row."""

    def __init__(self, monkeypatch, seconds=1.0):
        self.now = 100.0
        self.seconds = seconds
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def through(self, rows):
        for _ in rows:
            self.now += self.seconds


@pytest.fixture
def said():
    return []


def tracked(said, rows, total=None, message=""):
    return Tracked(lambda *what: said.append(what), rows, total, message)


def test_each_row_is_told_with_the_time_that_is_left(said, monkeypatch):
    Clock(monkeypatch).through(tracked(said, ["a", "b", "c", "d"], message=str.upper))

    assert said == [
        (0, 4, "A", None),
        (1, 4, "B", 3.0),
        (2, 4, "C", 2.0),
        (3, 4, "D", 1.0),
        (4, 4, "", None),
    ]


def test_many_rows_are_told_as_often_as_somebody_can_see(said, monkeypatch):
    Clock(monkeypatch, 0.001).through(tracked(said, range(10_000)))

    assert 95 <= len(said) <= 105
    assert said[-1] == (10_000, 10_000, "", None)


def test_of_a_generator_the_total_is_known_if_it_is_given(said):
    assert list(tracked(said, (i for i in range(3)), 3)) == [0, 1, 2]
    assert said[0][:2] == (0, 3)
    said.clear()

    list(tracked(said, (i for i in range(3))))

    assert said == [(0, None, "", None), (3, 3, "", None)]


def test_a_total_that_was_wrong_is_corrected_at_the_end(said):
    list(tracked(said, iter("abc"), 2))

    assert said[-1][:2] == (3, 3)


def test_what_breaks_off_does_not_look_done(said):
    for row in tracked(said, range(10)):
        if row == 4:
            break

    assert said[-1][0] < 10


def test_rows_can_be_gone_through_twice(said):
    rows = tracked(said, [1, 2])

    assert list(rows) == list(rows) == [1, 2]


async def _all(rows):
    return [row async for row in rows]


async def _letters():
    for letter in "ab":
        yield letter


@pytest.mark.django_db(transaction=True)
def test_async_rows_and_sync_rows_are_gone_through_by_async_for(said):
    from asgiref.sync import async_to_sync

    Group.objects.create(name="a")
    every = async_to_sync(_all)

    assert every(tracked(said, _letters(), 2)) == ["a", "b"]
    assert every(tracked(said, [1, 2])) == [1, 2]
    assert said[-1][:2] == (2, 2)
    assert len(every(tracked(said, Group.objects.all()))) == 1
    assert said[-1][:2] == (1, 1)


@pytest.mark.django_db
def test_the_result_has_what_was_told():
    result = tasks.track.enqueue(["a", "b"], message="Reading")

    run_jobs()
    result.refresh()

    assert result.progress == Progress(value=2, total=2, message="Reading")
    assert result.progress.percent == 100
    assert result.return_value == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "total", "percent"),
    [
        (0, 3, 0),
        (1, 3, 33),
        (2.999, 3, 99),
        (3, 3, 100),
        (5, 3, 100),
        (-1, 3, 0),
        (5, None, None),
        (0, 0, None),
        ("x", 3, None),
        (1, "x", None),
        (10**400, 1, 100),
        (1, -1, 0),
    ],
)
def test_percent_is_from_0_to_100_whatever_was_said(value, total, percent):
    assert Progress(value=value, total=total).percent == percent


def test_progress_of_a_newer_version_is_read_as_none_and_not_as_an_error():
    assert progress_of({"value": 1, "colour": "red"}) is None
