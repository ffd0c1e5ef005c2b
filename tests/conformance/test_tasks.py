"""Django's cases for tasks and their results, restated for DatabaseBackend.

After tests/tasks/test_tasks.py of Django 6.1, copyright (c) Django Software Foundation
and individual contributors, BSD-3-Clause. Wording and structure are our own.
"""

import dataclasses
import pickle
from datetime import datetime

import django
import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings
from django.utils import timezone
from django.utils.module_loading import import_string

from dbqueue.backend import DatabaseBackend
from dbqueue.tasks.framework import (
    DEFAULT_TASK_QUEUE_NAME,
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
)
from dbqueue.testing import enqueued, run_jobs
from tests.conformance import tasks
from tests.conformance.framework import (
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResultMismatch,
    default_task_backend,
    task,
)

pytestmark = pytest.mark.django_db

only_since_6_1 = pytest.mark.skipif(
    django.VERSION < (6, 1), reason="Tasks are picklable since Django 6.1"
)


@pytest.fixture(autouse=True)
def backends():
    ours = "dbqueue.backend.DatabaseBackend"
    entries = {
        "default": {"BACKEND": ours, "QUEUES": ["default", "queue_1"]},
        "any_queue": {"BACKEND": ours, "QUEUES": []},
        "missing": {"BACKEND": "does.not.exist"},
    }
    with override_settings(TASKS=entries):
        yield


class TestTheDecorator:
    def test_the_decorator_makes_a_task_of_sync_and_async_functions(self):
        for made in (tasks.noop, tasks.anoop, tasks.noop_bare):
            assert isinstance(made, Task)

    def test_the_decorator_refuses_a_function_that_is_not_at_module_level(self):
        for wrong in (
            any,
            self.test_the_decorator_makes_a_task_of_sync_and_async_functions,
        ):
            with pytest.raises(InvalidTask, match="must be defined at a module level"):
                task()(wrong)

    def test_the_decorator_refuses_takes_context_without_a_context_argument(self):
        with pytest.raises(InvalidTask, match="does not have a first argument of"):
            task(takes_context=True)(tasks.meaning_of_life.func)

    def test_the_decorator_refuses_run_after(self):
        with pytest.raises(TypeError, match="run_after"):
            task(run_after=timezone.now())(tasks.meaning_of_life.func)


class TestATask:
    def test_a_task_finds_the_backend_that_the_settings_name(self):
        assert default_task_backend == task_backends["default"]
        assert isinstance(task_backends["default"], DatabaseBackend)

    def test_a_task_knows_its_backend(self):
        other = tasks.noop.using(backend="any_queue")

        assert tasks.noop.backend == "default"
        assert tasks.noop.get_backend() is task_backends["default"]
        assert other.backend == "any_queue"
        assert other.get_backend() is task_backends["any_queue"]

    def test_a_task_is_named_as_its_function(self):
        assert tasks.noop.name == "noop"
        assert tasks.anoop.name == "anoop"

    def test_a_task_can_be_imported_by_its_module_path(self):
        for known, name in ((tasks.noop, "noop"), (tasks.anoop, "anoop")):
            assert known.module_path == f"tests.conformance.tasks.{name}"
            assert import_string(known.module_path) is known

    def test_a_task_can_be_called_without_a_queue(self):
        assert tasks.meaning_of_life.call() == 42
        assert async_to_sync(tasks.meaning_of_life.acall)() == 42
        assert tasks.anoop.call() is None
        assert async_to_sync(tasks.anoop.acall)() is None

    @only_since_6_1
    def test_a_task_survives_pickling(self):
        assert pickle.loads(pickle.dumps(tasks.noop)) == tasks.noop

    @only_since_6_1
    @pytest.mark.parametrize("path", ["does.not.exist.task", "builtins.any"])
    def test_a_task_is_not_unpickled_from_a_path_without_a_task(self, path):
        with pytest.raises(ValueError, match="to point to a Task instance"):
            Task._reconstruct({"func": path})


class TestUsing:
    def test_using_changes_the_priority_of_a_copy(self):
        changed = tasks.noop.using(priority=1)

        assert changed.priority == 1
        assert tasks.noop.priority == 0

    def test_using_changes_the_queue_of_a_copy(self):
        changed = tasks.noop.using(queue_name="queue_1")

        assert changed.queue_name == "queue_1"
        assert tasks.noop.queue_name == DEFAULT_TASK_QUEUE_NAME

    def test_using_changes_the_time_of_a_copy(self):
        now = timezone.now()

        changed = tasks.noop.using(run_after=now)

        assert changed.run_after == now
        assert tasks.noop.run_after is None

    def test_using_keeps_earlier_changes(self):
        now = timezone.now()
        later = tasks.noop.using(run_after=now)

        urgent = later.using(priority=10)

        assert (urgent.priority, urgent.run_after) == (10, now)
        assert later.priority == 0

    def test_using_makes_an_equal_copy_without_changes(self):
        copy = tasks.noop.using()

        assert copy == tasks.noop
        assert copy is not tasks.noop

    def test_using_refuses_a_backend_that_is_not_in_the_settings(self):
        with pytest.raises(InvalidTaskBackend, match="'unknown' doesn't exist"):
            tasks.noop.using(backend="unknown")

    def test_using_refuses_a_backend_that_cannot_be_imported(self):
        with pytest.raises(InvalidTaskBackend, match=r"find backend 'does\.not\.exist"):
            tasks.noop.using(backend="missing")

    def test_using_refuses_a_naive_datetime(self):
        with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
            tasks.noop.using(run_after=datetime.now())

    @pytest.mark.parametrize("priority", [-101, 101, 3.1])
    def test_using_refuses_a_priority_out_of_range(self, priority):
        bounds = f"between {TASK_MIN_PRIORITY} and {TASK_MAX_PRIORITY}"

        with pytest.raises(InvalidTask, match=f"a whole number {bounds}"):
            tasks.noop.using(priority=priority)

    @pytest.mark.parametrize("priority", [-100, 0, 100])
    def test_using_takes_every_priority_in_range(self, priority):
        assert tasks.noop.using(priority=priority).priority == priority

    def test_using_refuses_a_queue_that_the_backend_does_not_have(self):
        with pytest.raises(InvalidTask, match="'queue-2' is not valid for backend"):
            tasks.noop.using(queue_name="queue-2")

    def test_using_takes_any_queue_where_the_backend_lists_none(self):
        free = tasks.noop.using(queue_name="queue-2", backend="any_queue")

        assert free.queue_name == "queue-2"


class TestEnqueue:
    @pytest.mark.parametrize("known", [tasks.noop, tasks.anoop])
    def test_enqueue_returns_a_result_that_is_ready(self, known):
        result = known.enqueue(1, two=3)

        assert result.status == TaskResultStatus.READY
        assert result.is_finished is False
        assert result.started_at is None
        assert result.last_attempted_at is None
        assert result.finished_at is None
        assert result.task == known
        assert (result.args, result.kwargs) == ([1], {"two": 3})
        assert (result.attempts, result.errors) == (0, [])
        assert enqueued() == [result]

    @pytest.mark.parametrize("known", [tasks.noop, tasks.anoop])
    def test_enqueue_works_in_async_code(self, known):
        result = async_to_sync(known.aenqueue)()

        assert result.status == TaskResultStatus.READY
        assert result.task == known
        assert (result.args, result.kwargs) == ([], {})
        assert enqueued() == [result]

    def test_enqueue_refuses_an_argument_that_is_not_json(self):
        with pytest.raises(TypeError, match="is of type 'datetime', which is not JSON"):
            tasks.noop.enqueue(datetime.now())
        with pytest.raises(TypeError, match="is of type 'datetime', which is not JSON"):
            async_to_sync(tasks.noop.aenqueue)(datetime.now())

    def test_enqueue_refuses_to_work_without_a_backend(self):
        with override_settings(TASKS={}), pytest.raises(InvalidTaskBackend):
            tasks.noop.enqueue()


class TestAResult:
    def test_a_result_is_the_same_when_it_is_fetched(self):
        result = default_task_backend.enqueue(tasks.noop, (), {})

        assert tasks.noop.get_result(result.id) == result
        assert async_to_sync(tasks.noop.aget_result)(result.id) == result

    def test_a_result_does_not_change_by_a_refresh_without_news(self):
        result = tasks.noop.enqueue()
        before = dataclasses.asdict(result)

        result.refresh()
        assert dataclasses.asdict(result) == before

        async_to_sync(result.arefresh)()
        assert dataclasses.asdict(result) == before

    def test_a_result_changes_by_a_refresh_with_news(self):
        result, other = tasks.meaning_of_life.enqueue(), tasks.meaning_of_life.enqueue()
        run_jobs()

        assert result.status == TaskResultStatus.READY
        result.refresh()
        assert result.status == TaskResultStatus.SUCCESSFUL
        async_to_sync(other.arefresh)()
        assert other.status == TaskResultStatus.SUCCESSFUL

    def test_a_result_of_an_unknown_id_does_not_exist(self):
        with pytest.raises(TaskResultDoesNotExist):
            tasks.noop.get_result("123")
        with pytest.raises(TaskResultDoesNotExist):
            async_to_sync(tasks.noop.aget_result)("123")

    def test_a_result_of_another_task_is_a_mismatch(self):
        result = default_task_backend.enqueue(tasks.anoop, (), {})

        with pytest.raises(TaskResultMismatch, match="Task does not match"):
            tasks.noop.get_result(result.id)
        with pytest.raises(TaskResultMismatch, match="Task does not match"):
            async_to_sync(tasks.noop.aget_result)(result.id)

    @only_since_6_1
    def test_a_result_survives_pickling(self):
        result = tasks.noop.enqueue()

        assert pickle.loads(pickle.dumps(result)) == result


@pytest.mark.usefixtures("single_attempt")
class TestAnError:
    def failed(self):
        result = tasks.raises_value_error.enqueue()
        run_jobs()
        result.refresh()
        (error,) = result.errors
        return error

    def test_an_error_must_name_an_exception(self):
        error = self.failed()
        object.__setattr__(error, "exception_class_path", "subprocess.run")

        with pytest.raises(ValueError, match="not reference a valid exception"):
            error.exception_class  # noqa: B018

    def test_an_error_must_name_what_can_be_imported(self):
        error = self.failed()
        object.__setattr__(error, "exception_class_path", "does.not.exist")

        with pytest.raises(ImportError):
            error.exception_class  # noqa: B018
