"""Django's cases for backends of the project's own, with tasks of ours on them.

After tests/tasks/test_custom_backend.py of Django 6.1, copyright (c) Django Software
Foundation and individual contributors, BSD-3-Clause. Wording and structure are our own.
"""

import logging
from dataclasses import dataclass

import django
import pytest
from django.test import override_settings

from dbqueue.tasks.framework import task_backends
from tests.conformance import tasks
from tests.conformance.framework import (
    BaseTaskBackend,
    InvalidTask,
    Task,
    default_task_backend,
    task,
)

takes_more_options = pytest.mark.skipif(
    (6, 0) <= django.VERSION < (6, 1),
    reason="@task of Django 6.0 takes no options of a custom task class",
)


class CustomBackend(BaseTaskBackend):
    def enqueue(self, *args, **kwargs):
        logging.getLogger(__name__).info("%sTask enqueued.", self.options["prefix"])


class NoAsyncBackend(CustomBackend):
    supports_async_task = False


class NoEnqueueBackend(BaseTaskBackend):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomTask(Task):
    foo: int = 3
    bar: int = 300


class CustomTaskBackend(BaseTaskBackend):
    task_class = CustomTask
    supports_priority = True

    def enqueue(self, task, args, kwargs):
        pass


class TestACustomBackend:
    @pytest.fixture(autouse=True)
    def backends(self):
        entries = {
            "default": {
                "BACKEND": f"{__name__}.CustomBackend",
                "OPTIONS": {"prefix": "PREFIX: "},
            },
            "no_async": {"BACKEND": f"{__name__}.NoAsyncBackend"},
            "no_enqueue": {"BACKEND": f"{__name__}.NoEnqueueBackend"},
        }
        with override_settings(TASKS=entries):
            yield

    def test_a_custom_backend_is_the_one_in_the_settings(self):
        assert default_task_backend == task_backends["default"]
        assert isinstance(task_backends["default"], CustomBackend)
        assert default_task_backend.alias == "default"
        assert default_task_backend.options == {"prefix": "PREFIX: "}

    def test_a_custom_backend_may_refuse_async_tasks(self):
        with pytest.raises(InvalidTask, match=r"not support async [Tt]asks"):
            task_backends["no_async"].validate_task(tasks.anoop)

    def test_a_custom_backend_may_refuse_priorities(self):
        with pytest.raises(InvalidTask, match="not support setting priority"):
            tasks.noop.using(priority=10)

    def test_a_custom_backend_is_given_the_tasks_that_are_enqueued(self, caplog):
        caplog.set_level("INFO", logger=__name__)

        tasks.noop.enqueue()

        assert caplog.messages == ["PREFIX: Task enqueued."]

    def test_a_custom_backend_must_enqueue(self):
        with pytest.raises(TypeError, match="instantiate abstract class NoEnqueueBack"):
            tasks.noop.using(backend="no_enqueue")


class TestACustomTaskClass:
    @pytest.fixture(autouse=True)
    def backends(self):
        entry = {
            "BACKEND": f"{__name__}.CustomTaskBackend",
            "QUEUES": ["default", "high"],
        }
        with override_settings(TASKS={"default": entry}):
            yield

    def test_a_custom_task_class_brings_its_own_defaults(self):
        made = task()(tasks.noop.func)

        assert isinstance(made, CustomTask)
        assert (made.foo, made.bar) == (3, 300)

    @takes_more_options
    def test_a_custom_task_class_takes_its_own_options(self):
        made = task(foo=5, bar=600)(tasks.noop.func)

        assert isinstance(made, CustomTask)
        assert (made.foo, made.bar) == (5, 600)

    @takes_more_options
    def test_a_custom_task_class_takes_its_own_options_beside_those_of_all_tasks(self):
        made = task(priority=10, queue_name="high", foo=10, bar=1000)(tasks.noop.func)

        assert isinstance(made, CustomTask)
        assert (made.priority, made.queue_name) == (10, "high")
        assert (made.foo, made.bar) == (10, 1000)
        assert made.takes_context is False
        assert made.run_after is None

    def test_a_custom_task_class_refuses_options_of_no_task(self):
        with pytest.raises(TypeError):
            task(unknown_param=123)(tasks.noop.func)
