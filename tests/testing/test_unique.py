from datetime import datetime, timedelta

import freezegun
import pytest
from django.test import override_settings
from django.utils import timezone

from dbqueue import Unique, enqueue, enqueue_many, task
from dbqueue.exceptions import AlreadyEnqueued
from dbqueue.models import JobState
from dbqueue.tasks.framework import task_backends
from tests.support import unique_tasks

seen = []


@task(unique=Unique(key=[]))
def enqueue_itself():
    seen.append(enqueue(enqueue_itself))


@task(unique=Unique(key=[], until="started"), max_attempts=1)
def enqueue_another(depth=3):
    seen.append(enqueue(enqueue_another, depth - 1) if depth else None)


@pytest.fixture(params=["Recording", "Immediate"])
def backend(request):
    entry = {"BACKEND": f"dbqueue.testing.{request.param}Backend", "QUEUES": []}
    with override_settings(TASKS={"default": entry}):
        yield request.param


@pytest.fixture
def recording():
    entry = {"BACKEND": "dbqueue.testing.RecordingBackend", "QUEUES": []}
    with override_settings(TASKS={"default": entry}):
        yield task_backends["default"]


@pytest.fixture
def immediate():
    entry = {"BACKEND": "dbqueue.testing.ImmediateBackend", "QUEUES": []}
    seen.clear()
    with override_settings(TASKS={"default": entry}):
        yield


def test_what_was_recorded_stands(recording):
    first = enqueue(unique_tasks.report, 1, note="a")
    second = enqueue(unique_tasks.report, 1, note="b")

    assert (first.was_enqueued, second.was_enqueued) == (True, False)
    assert (second.id, second.kwargs) == (first.id, {"note": "a"})
    assert enqueue(unique_tasks.report, 2).was_enqueued
    assert len(recording.results) == 2


def test_what_was_cleared_stands_no_more(recording):
    enqueue(unique_tasks.report, 1)
    recording.clear()

    assert enqueue(unique_tasks.report, 1).was_enqueued


def test_many_are_skipped_one_by_one(recording):
    results = enqueue_many(unique_tasks.report, [(1,), (2,), (1,)])

    assert [result.was_enqueued for result in results] == [True, True, False]
    assert len(recording.results) == 2


def test_an_error_is_raised_instead_and_of_many_nothing_is_kept(recording):
    enqueue(unique_tasks.strict, 2)

    with pytest.raises(AlreadyEnqueued):
        enqueue(unique_tasks.strict, 2)
    with pytest.raises(AlreadyEnqueued):
        enqueue_many(unique_tasks.strict, [(1,), (2,)])
    with pytest.raises(AlreadyEnqueued, match="Call 2"):
        enqueue_many(unique_tasks.strict, [(1,), (1,)])

    assert len(recording.results) == 1


def test_what_is_debounced_gets_the_latest_arguments(recording):
    enqueue(unique_tasks.debounced, 1, note="a")
    second = enqueue(unique_tasks.debounced, 1, note="b")

    (kept,) = recording.results
    assert not second.was_enqueued
    assert kept.kwargs == {"note": "b"}
    assert kept.task.run_after > timezone.now() + timedelta(seconds=25)


def test_what_has_ended_stands_no_more(immediate):
    assert enqueue(unique_tasks.report, 1).return_value == "1"
    assert enqueue(unique_tasks.report, 1).was_enqueued


def test_a_throttle_goes_by_the_time_of_the_test(backend):
    with freezegun.freeze_time(datetime(2026, 1, 5), tz_offset=0) as clock:
        first = enqueue(unique_tasks.throttled, 1)
        second = enqueue(unique_tasks.throttled, 1)
        clock.tick(61)
        third = enqueue(unique_tasks.throttled, 1)

    assert [r.was_enqueued for r in (first, second, third)] == [True, False, True]


def test_a_cooldown_goes_by_the_time_of_the_test(immediate):
    with freezegun.freeze_time(datetime(2026, 1, 5), tz_offset=0) as clock:
        first = enqueue(unique_tasks.cooled, 1)
        second = enqueue(unique_tasks.cooled, 1)
        clock.tick(61)
        third = enqueue(unique_tasks.cooled, 1)

    assert [r.was_enqueued for r in (first, second, third)] == [True, False, True]
    assert second.state == JobState.SUCCESSFUL


def test_a_job_that_runs_stands_in_its_own_way(immediate):
    result = enqueue(enqueue_itself)

    (inner,) = seen
    assert (inner.was_enqueued, inner.id) == (False, result.id)


def test_a_job_that_runs_lets_another_in_that_was_to_wait_for_its_start(immediate):
    enqueue(enqueue_another)

    assert [found and found.was_enqueued for found in seen] == [None, True, True, True]


def test_a_job_that_is_too_late_is_not_run(immediate):
    late = timezone.now() - timedelta(seconds=1)

    result = enqueue(unique_tasks.renamed.using(expires=late), 1)

    assert result.state == JobState.CANCELLED
    assert result.errors[0].exception_class_path == "dbqueue.exceptions.Expired"


def test_what_is_not_kept_is_none(immediate):
    assert enqueue(unique_tasks.keeps_nothing, 1).return_value is None
