"""Django's cases for the dummy and the immediate backend, restated for our backends.

After tests/tasks/test_dummy_backend.py and test_immediate_backend.py of Django 6.1,
copyright (c) Django Software Foundation and individual contributors, BSD-3-Clause.
Wording and structure are our own. Each job is run by both our ways to run one in a
test: from its row, and at once in enqueue().
"""

from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from dbqueue.backend import DatabaseBackend
from dbqueue.tasks.framework import (
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
)
from dbqueue.testing import RecordingBackend, run_jobs
from tests.conformance import tasks
from tests.conformance.framework import LOGGER, InvalidTask, default_task_backend

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("single_attempt")]


class NoAsyncBackend(DatabaseBackend):
    supports_async_task = False


def only(backend, **entry):
    return override_settings(TASKS={"default": {"BACKEND": backend, **entry}})


@pytest.fixture(params=["backend.DatabaseBackend", "testing.ImmediateBackend"])
def run(request):
    """Return a function that enqueues a task, has it run, and returns its result."""

    def run(task, *args, **kwargs):
        result = task.enqueue(*args, **kwargs)
        if type(task_backends["default"]) is DatabaseBackend:
            run_jobs()
            result.refresh()
        return result

    with only(f"dbqueue.{request.param}", QUEUES=[]):
        yield run


@pytest.fixture
def log(caplog):
    """Return a function that tells what the framework logged: (level, text).

    The line of a job's end is written by dbqueue in place of the framework.
    """
    caplog.set_level("INFO", logger="dbqueue")
    caplog.set_level("DEBUG", logger=LOGGER)
    return lambda: [
        (record.levelname, caplog.handler.format(record))
        for record in caplog.records
        if record.name in (LOGGER, "dbqueue.jobs.events")
    ]


def assert_has_run(result):
    assert result.is_finished is True
    assert result.enqueued_at <= result.started_at
    assert result.started_at <= result.last_attempted_at <= result.finished_at
    assert result.attempts == 1


class TestTheBackend:
    def test_the_backend_is_the_one_in_the_settings(self):
        assert default_task_backend == task_backends["default"]
        assert isinstance(task_backends["default"], DatabaseBackend)
        assert default_task_backend.alias == "default"
        assert default_task_backend.options == {}

    def test_the_backend_can_all_that_django_asks_for(self):
        assert default_task_backend.supports_defer is True
        assert default_task_backend.supports_async_task is True
        assert default_task_backend.supports_get_result is True
        assert default_task_backend.supports_priority is True

    def test_the_backend_passes_the_checks(self):
        assert list(default_task_backend.check()) == []

    def test_the_backend_returns_results(self):
        result = default_task_backend.enqueue(tasks.noop, (), {})

        assert default_task_backend.get_result(result.id) == result

    def test_the_backend_returns_results_in_async_code(self):
        result = async_to_sync(default_task_backend.aenqueue)(tasks.noop, (), {})

        assert async_to_sync(default_task_backend.aget_result)(result.id) == result

    @pytest.mark.parametrize("id", ["123", 123, "", None, "0" * 32])
    def test_the_backend_has_no_result_for_an_unknown_id(self, id):
        with pytest.raises(TaskResultDoesNotExist):
            default_task_backend.get_result(id)
        with pytest.raises(TaskResultDoesNotExist):
            async_to_sync(default_task_backend.aget_result)(id)

    def test_the_backend_takes_a_task_for_later(self):
        later = tasks.noop.using(run_after=timezone.now() + timedelta(hours=1))

        default_task_backend.validate_task(later)
        result = later.enqueue()

        assert run_jobs() == []
        assert result.status == TaskResultStatus.READY

    def test_the_backend_refuses_async_tasks_where_a_subclass_does(self):
        refused = pytest.raises(InvalidTask, match=r"not support async [Tt]asks")

        with only(f"{__name__}.NoAsyncBackend"), refused:
            default_task_backend.validate_task(tasks.anoop)

    def test_the_backend_checks_the_queue_once_more_when_a_job_is_enqueued(self):
        with only("dbqueue.backend.DatabaseBackend", QUEUES=[]):
            strange = tasks.noop.using(queue_name="unknown_queue")
        with only("dbqueue.backend.DatabaseBackend", QUEUES=["queue-1"]):
            with pytest.raises(InvalidTask, match="'unknown_queue' is not valid"):
                strange.enqueue()
            with pytest.raises(InvalidTask, match="'unknown_queue' is not valid"):
                async_to_sync(strange.aenqueue)()

    def test_the_backend_logs_that_a_job_was_enqueued(self, log):
        result = tasks.noop.enqueue()

        ((level, text),) = log()
        assert level == "DEBUG"
        assert "enqueued" in text
        assert result.id in text

    def test_the_backend_writes_within_the_transaction(self):
        with transaction.atomic():
            result = tasks.noop.enqueue()

            assert result.enqueued_at is not None
            assert default_task_backend.get_result(result.id) == result

    def test_the_backend_records_jobs_in_memory_until_told_to_forget_them(self):
        with only("dbqueue.testing.RecordingBackend"):
            backend = task_backends["default"]
            result = tasks.noop.enqueue()

            assert isinstance(backend, RecordingBackend)
            assert backend.results == [result]
            assert backend.get_result(result.id) == result
            backend.clear()
            with pytest.raises(TaskResultDoesNotExist, match=result.id):
                backend.get_result(result.id)


class TestAJobThatSucceeds:
    @pytest.mark.parametrize("known", [tasks.noop, tasks.anoop])
    def test_a_job_that_succeeds_leaves_a_successful_result(self, run, known):
        result = run(known, 1, two=3)

        assert result.status == TaskResultStatus.SUCCESSFUL
        assert_has_run(result)
        assert result.return_value is None
        assert result.task == known
        assert (result.args, result.kwargs) == ([1], {"two": 3})

    @pytest.mark.parametrize("known", [tasks.noop, tasks.anoop])
    def test_a_job_that_succeeds_may_be_enqueued_in_async_code(self, known):
        result = async_to_sync(known.aenqueue)()
        run_jobs()
        async_to_sync(result.arefresh)()

        assert result.status == TaskResultStatus.SUCCESSFUL
        assert_has_run(result)

    def test_a_job_that_succeeds_runs_at_once_in_async_code_on_the_immediate_backend(
        self,
    ):
        with only("dbqueue.testing.ImmediateBackend"):
            result = async_to_sync(tasks.anoop.aenqueue)()

        assert result.status == TaskResultStatus.SUCCESSFUL
        assert_has_run(result)

    def test_a_job_that_succeeds_hands_over_its_return_value(self, run):
        assert run(tasks.meaning_of_life).return_value == 42

    def test_a_job_that_succeeds_has_no_return_value_before_it_has_run(self):
        result = tasks.meaning_of_life.enqueue()

        with pytest.raises(ValueError, match="Task has not finished yet"):
            result.return_value  # noqa: B018

    def test_a_job_that_succeeds_may_take_the_context(self, run):
        result = run(tasks.own_id)

        assert result.return_value == result.id

    def test_a_job_that_succeeds_is_told_its_attempt(self, run):
        assert run(tasks.expects_attempt, 1).status == TaskResultStatus.SUCCESSFUL

    def test_a_job_that_succeeds_is_logged_three_times(self, run, log):
        result = run(tasks.noop)

        (_, first), (_, second), (_, third) = log()
        assert "enqueued" in first
        assert "state=RUNNING" in second
        assert "state=SUCCESSFUL" in third
        for text in (first, second, third):
            assert result.id in text
            assert "None" not in text


class TestAJobThatFails:
    @pytest.mark.parametrize(
        ("known", "kind", "message"),
        [
            (tasks.raises_value_error, ValueError, "Raised as a ValueError"),
            (tasks.raises_system_exit, SystemExit, "Raised as a SystemExit"),
        ],
    )
    def test_a_job_that_fails_leaves_a_failed_result(
        self, run, log, known, kind, message
    ):
        result = run(known)

        assert result.status == TaskResultStatus.FAILED
        assert_has_run(result)
        with pytest.raises(ValueError, match="Task failed"):
            result.return_value  # noqa: B018
        (error,) = result.errors
        assert error.exception_class is kind
        assert error.traceback.endswith(f"{kind.__name__}: {message}\n")
        assert result.task == known
        assert [text for level, text in log() if level == "ERROR" and message in text]

    def test_a_job_that_fails_is_logged_three_times(self, run, log):
        result = run(tasks.raises_value_error)

        _, (_, second), (_, third) = log()
        assert "state=RUNNING" in second
        assert "state=FAILED" in third
        assert result.id in second
        assert result.id in third

    def test_a_job_that_fails_may_raise_an_exception_with_an_exception_inside(
        self, run
    ):
        result = run(tasks.raises_nested)

        assert result.status == TaskResultStatus.FAILED
        assert_has_run(result)
        assert result._return_value is None
        (error,) = result.errors
        assert error.exception_class is ValueError
        assert "ValueError(ValueError(" in error.traceback

    def test_a_job_that_fails_may_return_what_is_not_json(self, run):
        result = run(tasks.returns_a_function)

        assert result.status == TaskResultStatus.FAILED
        assert_has_run(result)
        assert result._return_value is None
        (error,) = result.errors
        assert issubclass(error.exception_class, TypeError)
        assert "which is not JSON" in error.traceback

    def test_a_job_that_fails_does_not_swallow_ctrl_c(self, run, log):
        with pytest.raises(KeyboardInterrupt):
            run(tasks.raises_keyboard_interrupt)

        assert [text for level, text in log() if level == "ERROR"] == []
