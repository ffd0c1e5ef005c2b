import dataclasses
import sys
from datetime import timedelta
from functools import wraps
from importlib import import_module, reload
from unittest.mock import patch

import pytest
from django.test import override_settings

from dbqueue import task
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.tasks import registry
from dbqueue.tasks.decorator import declared_tasks
from dbqueue.tasks.framework import InvalidTask, TaskResultStatus
from dbqueue.tasks.registry import as_task, resolve
from dbqueue.tasks.task import Task
from dbqueue.testing import run_jobs
from tests import tasks
from tests.conformance import tasks as django_tasks


def function():
    pass


async def coroutine():
    pass


def takes_context(context):
    pass


def only_mail():
    """Return TASKS with a single queue, which is not the default one."""
    backend = "dbqueue.backend.DatabaseBackend"
    return {"default": {"BACKEND": backend, "QUEUES": ["mail"]}}


class Methods:
    def method(self):
        pass

    @staticmethod
    def static():
        pass


@pytest.fixture(autouse=True)
def forget_lookups():
    registry._resolved.clear()
    with patch.dict(declared_tasks, clear=True):
        yield


class TestTheDecorator:
    def test_the_decorator_needs_no_parentheses(self):
        assert isinstance(task(function), Task)
        assert isinstance(task()(function), Task)

    def test_the_decorator_refuses_a_second_task_of_a_function_with_other_options(self):
        task(timeout=1, max_attempts=2)(function)

        with pytest.raises(InvalidTask) as refused:
            task(timeout=100, max_attempts=2)(function)

        assert str(refused.value) == (
            "'tests.declaring.test_tasks.function' is declared twice, with timeout=1 "
            "and with timeout=100; a worker would find only one of them. "
            "Give each a function of its own."
        )

    def test_the_decorator_refuses_a_second_task_of_a_wrapped_function_likewise(self):
        @wraps(function)
        def wrapped():
            function()

        task(function)

        with pytest.raises(InvalidTask, match="atomic=False and with atomic=True"):
            task(atomic=True)(wrapped)

    def test_the_decorator_takes_the_same_options_again(self):
        first, second = (task(timeout=1)(function) for _ in range(2))

        assert first == second

    def test_the_decorator_takes_other_options_when_the_module_is_loaded_again(
        self, tmp_path, monkeypatch
    ):
        path = tmp_path / "edited.py"
        source = "import dbqueue\n@dbqueue.task(timeout={})\ndef noop(): pass\n"
        monkeypatch.syspath_prepend(tmp_path)
        path.write_text(source.format(1))
        module = import_module("edited")
        path.write_text(source.format(100))

        reload(module)

        assert module.noop.timeout == 100

    def test_the_decorator_leaves_defaults_to_the_settings(self):
        made = task(function)

        with override_settings(DBQUEUE={"MAX_ATTEMPTS": 7, "TIMEOUT": 90}):
            assert (made.attempts_allowed, made.seconds_allowed) == (7, 90)
        assert (made.attempts_allowed, made.seconds_allowed) == (5, None)

    def test_the_decorator_takes_every_option(self):
        made = task(
            queue_name="mail",
            priority=5,
            backend="default",
            takes_context=True,
            max_attempts=3,
            backoff=[1, 2],
            retry_on=OSError,
            give_up_on=[LookupError, ValueError],
            timeout=1.5,
            atomic=True,
        )(takes_context)

        assert (made.queue_name, made.priority) == ("mail", 5)
        assert (made.takes_context, made.atomic) == (True, True)
        assert (made.attempts_allowed, made.seconds_allowed) == (3, 1.5)
        assert made.backoff == (1, 2)
        assert made.retry_on == (OSError,)
        assert made.give_up_on == (LookupError, ValueError)

    def test_the_decorator_makes_hashable_tasks(self):
        made = task(backoff=[1, 2], retry_on=[OSError])(function)

        assert hash(made) == hash(made.using())

    @pytest.mark.parametrize(
        ("wrong", "near"),
        [
            ("max_attempt", "max_attempts"),
            ("queue", "queue_name"),
            ("retryon", "retry_on"),
            ("time_out", "timeout"),
        ],
    )
    def test_the_decorator_refuses_a_misspelt_option_with_the_nearest(
        self, wrong, near
    ):
        message = rf"no option '{wrong}'\. Did you mean '{near}'\?"

        with pytest.raises(TypeError, match=message):
            task(**{wrong: 1})

    @pytest.mark.parametrize("name", ["func", "job_id", "run_after", "zzz"])
    def test_the_decorator_refuses_what_is_not_an_option(self, name):
        with pytest.raises(TypeError, match=f"task\\(\\) has no option '{name}'"):
            task(**{name: 1})

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"max_attempts": 0}, "max_attempts=0 must be .* 1 means: never retry"),
            ({"max_attempts": -1}, "max_attempts=-1 must be a whole number"),
            ({"max_attempts": 2.0}, "max_attempts=2.0 must be a whole number"),
            ({"max_attempts": True}, "max_attempts=True must be a whole number"),
            ({"max_attempts": 40_000}, "from 1 to 32767"),
            ({"timeout": 0}, "timeout=0 must be seconds above 0"),
            ({"timeout": -1.5}, "timeout=-1.5 must be"),
            ({"timeout": "1m"}, "timeout='1m' must be"),
            ({"timeout": timedelta(1)}, "timeout=.* must be seconds"),
            ({"atomic": 1}, "atomic=1 must be True or False"),
            ({"backoff": "fast"}, "backoff='fast' must be seconds"),
            ({"backoff": -1}, "backoff=-1 must be"),
            ({"backoff": []}, r"backoff=\[\] must be"),
            ({"backoff": [1, "2"]}, "backoff=.* must be"),
            ({"backoff": True}, "backoff=True must be"),
            ({"backoff": float("nan")}, "backoff=nan must be"),
            ({"retry_on": "OSError"}, "retry_on='OSError': .* not an exception class"),
            ({"retry_on": [ValueError, 1]}, "retry_on=.*: 1 is not an exception class"),
            ({"give_up_on": int}, "give_up_on=.* is not an exception class"),
            (
                {"give_up_on": ValueError("x")},
                "give_up_on=.* is not an exception class",
            ),
            ({"priority": 101}, "priority must be a whole number between -100 and 100"),
            ({"priority": "high"}, "priority must be a whole number .* not 'high'"),
            ({"priority": None}, "priority must be a whole number .* not None"),
            ({"priority": True}, "priority must be a whole number .* not True"),
            ({"queue_name": ""}, "queue_name='' must be 1 to 100 characters"),
            ({"queue_name": "q" * 101}, "must be 1 to 100 characters"),
            ({"queue_name": None}, "queue_name=None must be 1 to 100 characters"),
            ({"takes_context": True}, "does not have a first argument of 'context'"),
        ],
    )
    def test_the_decorator_refuses_a_wrong_value_with_the_reason(self, options, reason):
        with pytest.raises(InvalidTask, match=reason):
            task(**options)(function)

    def test_the_decorator_refuses_an_async_function_in_a_transaction(self):
        with pytest.raises(InvalidTask, match=r"async and atomic; .* drop atomic=True"):
            task(atomic=True)(coroutine)

    def test_the_decorator_refuses_a_function_that_no_worker_could_find(self):
        def local():
            pass

        for wrong in (local, lambda: None, print, Methods().method, "text"):
            with pytest.raises(InvalidTask, match="module level"):
                task()(wrong)

    def test_the_decorator_tells_what_is_not_a_function_and_names_options(self):
        for wrong in ("mail", 3, tasks.noop, Methods):
            with pytest.raises(
                InvalidTask, match=r"is not a function; .*queue_name='ma"
            ):
                task(wrong)

    def test_the_decorator_refuses_a_queue_that_the_backend_does_not_have(
        self, settings
    ):
        settings.TASKS = only_mail()

        with pytest.raises(InvalidTask, match=r"Did you mean 'mail'\?.*'QUEUES'"):
            task(queue_name="mial")(function)


class TestUsing:
    def test_using_keeps_the_other_options(self):
        made = task(max_attempts=3, backoff=9)(function).using(priority=3)

        assert (made.max_attempts, made.backoff, made.priority) == (3, 9, 3)

    def test_using_takes_a_timedelta(self):
        assert tasks.noop.using(run_after=timedelta(1)).run_after == timedelta(1)

    @pytest.mark.parametrize("after", [60, "tomorrow", 1.5])
    def test_using_refuses_a_time_of_another_kind(self, after):
        with pytest.raises(InvalidTask, match="must be a datetime or a timedelta"):
            tasks.noop.using(run_after=after)

    @pytest.mark.parametrize("days", [-99_999, 99_999, 999_999_999])
    def test_using_refuses_a_time_too_far_away(self, days):
        with pytest.raises(InvalidTask, match="is too far away"):
            tasks.noop.using(run_after=timedelta(days=days))

    @pytest.mark.parametrize("id", ["abc", 12, 1.5, b"x" * 16])
    def test_using_refuses_a_job_id_that_is_not_a_uuid(self, id):
        with pytest.raises(InvalidTask, match=r"job_id=.* is not a UUID"):
            tasks.noop.using(job_id=id)

    def test_using_refuses_what_cannot_be_changed(self):
        with pytest.raises(TypeError):
            tasks.noop.using(max_attempts=3)

    def test_using_does_not_change_the_task(self):
        before = dataclasses.asdict(tasks.noop)

        tasks.noop.using(priority=9, queue_name="x", run_after=timedelta(1))

        assert dataclasses.asdict(tasks.noop) == before


class TestAPath:
    def test_a_path_leads_to_a_task(self):
        assert resolve("tests.tasks.add") is tasks.add

    def test_a_path_leads_to_a_task_made_with_djangos_decorator(self):
        found = resolve("tests.conformance.tasks.noop")

        assert isinstance(found, Task)
        assert found.func is django_tasks.noop.func

    def test_a_path_leads_to_a_plain_function_of_an_installed_app(self):
        found = resolve("tests.tasks.plain")

        assert isinstance(found, Task)
        assert found.func is tasks.plain

    def test_a_path_leads_to_a_plain_function_whatever_the_queues_are(self, settings):
        settings.TASKS = only_mail()

        assert resolve("tests.tasks.plain").func is tasks.plain

    @pytest.mark.parametrize("path", ["tests.tasks.a_lambda", "tests.tasks.wrapped"])
    def test_a_path_never_leads_to_what_is_called_otherwise(self, path):
        with pytest.raises(TaskNotAllowed):
            resolve(path)

    @pytest.mark.parametrize(
        "path",
        [
            "os.system",
            "os.popen",
            "posix.system",
            "shutil.rmtree",
            "shutil.copyfile",
            "subprocess.run",
            "builtins.eval",
            "builtins.exec",
            "pickle.loads",
            "importlib.import_module",
            "__main__.main",
            "tests.__main__.main",
        ],
    )
    def test_a_path_never_leads_into_pythons_library_or_a_script(self, path):
        with pytest.raises(
            TaskNotAllowed, match=f"'{path}' is in Python's own library"
        ):
            resolve(path)

    def test_a_path_leads_into_an_app_named_like_a_module_of_pythons_library(
        self, tmp_path, monkeypatch, settings
    ):
        app = tmp_path / "wave"
        app.mkdir()
        (app / "__init__.py").touch()
        (app / "tasks.py").write_text("def greet(): ...\n")
        monkeypatch.syspath_prepend(tmp_path)
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "wave"]

        assert resolve("wave.tasks.greet").func.__module__ == "wave.tasks"

    def test_a_path_is_refused_before_a_module_of_pythons_library_is_imported(self):
        assert "antigravity" not in sys.modules

        with pytest.raises(TaskNotAllowed):
            resolve("antigravity.geohash")
        assert "antigravity" not in sys.modules

    @pytest.mark.parametrize(
        "path",
        [
            "django.core.management.call_command",
            "tests.tasks.timedelta",
            "tests.tasks.CONSTANT",
            "tests.tasks.time",
        ],
    )
    def test_a_path_never_leads_to_what_is_not_a_task_of_an_installed_app(self, path):
        with pytest.raises(TaskNotAllowed, match=f"'{path}' is (neither|in Python)"):
            resolve(path)

    def test_a_path_never_runs_what_stands_in_pythons_own_library(self):
        with pytest.raises(TaskNotAllowed, match="Python's own library"):
            resolve("antigravity.fly")

        assert "antigravity" not in sys.modules

    def test_a_path_does_not_lead_through_an_installed_module_to_what_it_imported(self):
        with pytest.raises(TaskNotAllowed):
            resolve("tests.tasks.copyfile")

    @pytest.mark.parametrize(
        "path",
        [
            "tests.tasks.missing",
            "tests.missing.noop",
            "missing.tasks.noop",
            "tests.support.broken.noop",
        ],
    )
    def test_a_path_that_cannot_be_imported_leads_nowhere(self, path):
        with pytest.raises(TaskNotFound, match=f"'{path}' cannot be imported"):
            resolve(path)

    @pytest.mark.parametrize(
        "path", ["", "noop", ".noop", "tests..noop", "tests.tasks.", "a b.c", "\0"]
    )
    def test_a_path_must_be_dotted(self, path):
        with pytest.raises(TaskNotFound, match="is not a dotted path such as"):
            resolve(path)


class TestAFunction:
    def test_a_function_stands_for_the_task_made_of_it(self):
        made = task(queue_name="mail")(function)

        assert as_task(function) is made

    def test_a_function_of_an_installed_app_needs_no_decorator(self):
        assert as_task(tasks.plain).func is tasks.plain

    def test_a_function_that_no_worker_could_find_is_refused(self):
        def local():
            pass

        for wrong in (local, lambda: None):
            with pytest.raises(InvalidTask, match="is not at a module's top level"):
                as_task(wrong)

    @pytest.mark.parametrize("wrong", [None, 1, print, Methods, Methods().method])
    def test_a_function_is_what_a_task_must_be(self, wrong):
        with pytest.raises(InvalidTask, match="neither a task, nor a function"):
            as_task(wrong)


@pytest.mark.django_db
def test_a_task_made_with_djangos_decorator_runs():
    result = django_tasks.meaning_of_life.enqueue()
    run_jobs()
    result.refresh()

    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == 42
