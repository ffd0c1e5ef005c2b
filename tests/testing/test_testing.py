import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from datetime import datetime, timedelta
from functools import partial
from unittest.mock import patch
from uuid import UUID

import freezegun
import pytest
import time_machine
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import TestCase, override_settings
from django.utils import timezone

from dbqueue import bind_context, enqueue, enqueue_many
from dbqueue.backend import DatabaseBackend
from dbqueue.exceptions import (
    CannotWait,
    DbqueueError,
    InvalidPayload,
    JobIdTaken,
)
from dbqueue.models import FinishedJob, Job, Worker
from dbqueue.tasks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    task_backends,
)
from dbqueue.tasks.framework import Task as DjangoTask
from dbqueue.tasks.results import Progress
from dbqueue.testing import arun_jobs, assert_enqueued, enqueued, run_jobs
from tests import tasks
from tests.settings import BASE
from tests.support.workers import together

pytestmark = pytest.mark.django_db


class TestRunJobs(TestCase):
    def test_run_jobs_runs_what_is_ready_and_returns_the_results(self):
        tasks.add.enqueue(1, 2)
        tasks.aadd.enqueue(3, 4)

        assert [result.return_value for result in run_jobs()] == [3, 7]
        assert run_jobs() == []

    def test_run_jobs_runs_what_those_jobs_enqueue(self):
        tasks.enqueue_child.enqueue()

        assert [result.task.name for result in run_jobs()] == [
            "enqueue_child",
            "tell_context",
        ]

    def test_run_jobs_leaves_jobs_for_later(self):
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()

        assert run_jobs() == []
        assert len(run_jobs(scheduled=True)) == 1

    def test_run_jobs_takes_retries_as_due_when_told(self):
        tasks.succeed_at.enqueue(3)

        (result,) = run_jobs(scheduled=True)

        assert (result.state, result.return_value) == ("SUCCESSFUL", 3)

    def test_run_jobs_runs_higher_priorities_first(self):
        tasks.echo.using(priority=-1).enqueue("low")
        tasks.echo.using(priority=1).enqueue("high")

        assert [result.return_value for result in run_jobs()] == ["high", "low"]

    def test_run_jobs_may_run_some_queues_only(self):
        tasks.echo.using(queue_name="a").enqueue("a")
        tasks.echo.using(queue_name="b").enqueue("b")

        assert [result.return_value for result in run_jobs(queues=["b"])] == ["b"]

    def test_run_jobs_refuses_a_text_for_a_list_of_queues(self):
        with pytest.raises(TypeError, match=r"such as \['mail'\]"):
            run_jobs(queues="mail")

    def test_run_jobs_stops_at_its_limit(self):
        tasks.snooze_until.enqueue(1_000)

        with pytest.raises(DbqueueError, match="stopped at its limit of 10 attempts"):
            run_jobs(limit=10)

    def test_run_jobs_leaves_what_it_cannot_import(self):
        tasks.noop.enqueue()
        Job.objects.update(task="tests.nothing.here")
        tasks.add.enqueue(1, 2)

        run_jobs()

        assert FinishedJob.objects.get().task == "tests.tasks.add"
        job = Job.objects.get()
        assert (job.state, job.failures) in (("READY", 0), ("SCHEDULED", 0))

    def test_run_jobs_fails_what_may_not_be_run(self):
        tasks.noop.enqueue()
        Job.objects.update(task="os.system")
        tasks.add.enqueue(1, 2)

        run_jobs()

        assert dict(FinishedJob.objects.values_list("task", "state")) == {
            "os.system": "FAILED",
            "tests.tasks.add": "SUCCESSFUL",
        }

    def test_run_jobs_leaves_no_worker_behind(self):
        tasks.raise_.enqueue("KeyboardInterrupt")

        with pytest.raises(KeyboardInterrupt):
            run_jobs()

        assert not Worker.objects.exists()

    def test_run_jobs_runs_atomic_jobs_within_the_test(self):
        tasks.write_group.enqueue("kept")
        tasks.write_group.enqueue("undone", "ValueError")

        run_jobs()

        assert [group.name for group in Group.objects.all()] == ["kept"]

    def test_run_jobs_runs_on_the_connection_of_the_test(self):
        Group.objects.create(name="not committed")
        result = tasks.tell_surroundings.enqueue()

        run_jobs()

        result.refresh()
        assert result.return_value[-1] == ["not committed"]


class TestDatabaseErrors(TestCase):
    """A job's database error breaks the transaction that the test is in."""

    def test_a_database_error_fails_the_job_and_not_the_test(self):
        for task in (
            tasks.break_a_constraint,
            tasks.abreak_a_constraint,
            tasks.send_wrong_sql,
        ):
            with self.subTest(task.name):
                result = enqueue(task, "x")
                tasks.add.enqueue(1, 2)

                run_jobs()

                result.refresh()
                assert result.state == "FAILED"
                assert Group.objects.count() == 0

    def test_an_error_of_another_kind_leaves_what_the_job_has_written(self):
        tasks.write_group_and_fail.enqueue("kept")

        run_jobs()

        assert Group.objects.get().name == "kept"

    def test_hooks_of_what_was_undone_are_not_called(self):
        tasks.break_a_constraint.enqueue("x")

        results = run_jobs(on_commit=True)

        assert [result.state for result in results] == ["FAILED"]


class TestHooksForTheCommit(TestCase):
    def test_hooks_are_left_alone_unless_asked_for(self):
        transaction.on_commit(lambda: tasks.echo.enqueue("later"))

        assert run_jobs() == []

    def test_hooks_run_first_and_after_each_job_when_asked_for(self):
        transaction.on_commit(lambda: tasks.enqueue_on_commit.enqueue("later"))

        results = run_jobs(on_commit=True)

        assert [result.return_value for result in results] == [None, "later"]

    def test_hooks_that_raise_reach_the_test_unless_they_are_robust(self):
        transaction.on_commit(lambda: 1 / 0, robust=True)
        run_jobs(on_commit=True)
        transaction.on_commit(lambda: 1 / 0)

        with pytest.raises(ZeroDivisionError):
            run_jobs(on_commit=True)


TRAVELS = {
    "freezegun": freezegun.freeze_time,
    "time-machine": time_machine.travel,
}


class TestTime(TestCase):
    def test_until_runs_what_is_due_by_then_in_order(self):
        for hours in (2, 1, 4):
            tasks.echo.using(run_after=timedelta(hours=hours)).enqueue(hours)

        results = run_jobs(until=timedelta(hours=3))

        assert [result.return_value for result in results] == [1, 2]

    def test_until_a_job_that_repeats_itself_runs_as_often_as_there_is_time(self):
        result = tasks.repeat_hourly.enqueue()

        run_jobs(until=timedelta(hours=24, minutes=1))

        result.refresh()
        assert (result.attempts, result.state) == (25, "SCHEDULED")

    def test_until_leaves_the_time_of_other_jobs_as_it_was(self):
        moment = timezone.now() + timedelta(days=9)
        later = tasks.noop.using(run_after=moment).enqueue()
        tasks.noop.using(run_after=timedelta(days=1)).enqueue()

        run_jobs(until=timezone.now() + timedelta(days=2))

        later.refresh()
        assert Job.objects.get().run_after == moment

    def test_until_must_be_aware_as_other_moments_are(self):
        with pytest.raises(ValueError, match="is naive"):
            run_jobs(until=datetime(2030, 1, 1))

    def test_until_must_be_a_moment_or_a_time_from_now(self):
        with pytest.raises(TypeError, match="until=60 must be a datetime or a timedel"):
            run_jobs(until=60)

    def test_time_travel_makes_jobs_due(self):
        for name, travel in TRAVELS.items():
            with self.subTest(name):
                now = timezone.now()
                tasks.echo.using(run_after=now + timedelta(days=1)).enqueue(1)
                tasks.echo.using(run_after=timedelta(days=2)).enqueue(2)
                tasks.echo.using(run_after=timedelta(days=4)).enqueue(4)

                assert run_jobs() == []
                with travel(now + timedelta(days=3)):
                    results = run_jobs()

                assert [result.return_value for result in results] == [1, 2]
                assert_enqueued(tasks.echo, args=[4], count=1)
                Job.objects.all().delete()

    def test_time_travel_takes_jobs_along_that_are_enqueued_there(self):
        for name, travel in TRAVELS.items():
            with self.subTest(name):
                with travel("2051-02-03 04:05:06+00:00"):
                    moment = timezone.now() + timedelta(hours=1)
                    tasks.echo.using(run_after=moment).enqueue("later")
                    tasks.echo.enqueue("now")
                    assert [r.return_value for r in run_jobs()] == ["now"]
                with travel("2051-02-03 06:00:00+00:00"):
                    assert [r.return_value for r in run_jobs()] == ["later"]

    def test_time_that_is_frozen_goes_on_with_until(self):
        for name, travel in TRAVELS.items():
            with self.subTest(name), travel("2051-02-03 04:05:06+00:00"):
                result = tasks.succeed_at.enqueue(2)

                run_jobs(until=timedelta(days=1))

                result.refresh()
                assert result.state == "SUCCESSFUL"


class TestFromAsyncCode(TestCase):
    async def test_arun_jobs_runs_sync_and_async_jobs(self):
        await tasks.aadd.aenqueue(1, 2)
        await tasks.add.aenqueue(3, 4)

        results = await arun_jobs(queues=["*"])

        assert [result.return_value for result in results] == [3, 7]


BACKENDS = ["DatabaseBackend", "ImmediateBackend", "RecordingBackend"]


@pytest.mark.parametrize("name", BACKENDS)
class TestTheTaskOfAResult:
    def test_the_task_of_a_result_is_the_one_that_was_enqueued(self, settings, name):
        backend = with_backend(settings, name)
        variants = [tasks.add, tasks.add.using(priority=5, queue_name="mail")]

        for task in variants:
            result = task.enqueue(1, 2)

            assert result.task == task
            assert hash(result.task) == hash(task)
            assert backend.get_result(result.id).task == task
        (many,) = enqueue_many(tasks.add, [(1, 2)])
        assert many.task == tasks.add

    def test_the_task_of_a_result_equals_one_that_was_declared_for_another_backend(
        self, settings, name
    ):
        names = [field.name for field in fields(DjangoTask)]
        declared = DjangoTask(**{name: getattr(tasks.add, name) for name in names})
        with_backend(settings, name)

        result = enqueue(declared, 1, 2)

        assert type(declared) is DjangoTask
        assert result.task == declared
        assert declared == result.task
        assert hash(declared) == hash(result.task)


class TestMocking:
    @pytest.mark.parametrize("method", ["enqueue", "get_result", "call"])
    def test_a_method_of_a_task_can_be_replaced_in_a_test(self, method):
        task = tasks.add
        with patch.object(task, method) as mocked:
            getattr(task, method)(1, 2)

        mocked.assert_called_once_with(1, 2)
        assert method not in vars(task)
        assert task.call(1, 2) == 3

    def test_a_whole_task_can_be_replaced_by_a_mock_of_its_shape(self):
        with patch("tests.tasks.add", autospec=True) as mocked:
            tasks.add.enqueue(1, 2)

        mocked.enqueue.assert_called_once_with(1, 2)

    @pytest.mark.parametrize("name", ["priority", "max_attempts", "nothing"])
    def test_an_option_of_a_task_stays_as_it_was_declared(self, name):
        with pytest.raises(FrozenInstanceError):
            setattr(tasks.add, name, 7)
        with pytest.raises(FrozenInstanceError):
            delattr(tasks.add, name)


class TestAssertEnqueued:
    def test_assert_enqueued_returns_the_jobs_that_match(self):
        result = tasks.add.enqueue(1, b=2)

        assert assert_enqueued(tasks.add) == [result]
        assert assert_enqueued("tests.tasks.add", args=[1]) == [result]
        assert assert_enqueued(tasks.add, args=(1,), kwargs={"b": 2}) == [result]

    def test_assert_enqueued_compares_arguments_as_json_keeps_them(self):
        tasks.echo.enqueue((1, (2,)))

        assert_enqueued(tasks.echo, args=[(1, (2,))])

    def test_assert_enqueued_counts_the_jobs(self):
        enqueue_many(tasks.noop, [(), ()])

        assert_enqueued(tasks.noop, count=2)
        assert_enqueued(tasks.add, count=0)
        with pytest.raises(AssertionError, match=r"2 jobs of tests.*, expected 1"):
            assert_enqueued(tasks.noop, count=1)

    def test_assert_enqueued_speaks_of_one_job_in_the_singular(self):
        tasks.noop.enqueue()

        with pytest.raises(
            AssertionError, match=r"^1 job of .* is pending, expected 2"
        ):
            assert_enqueued(tasks.noop, count=2)

    def test_assert_enqueued_tells_what_there_is_instead(self):
        tasks.echo.enqueue("this")

        with pytest.raises(AssertionError, match=r"0 jobs of .*\n  args=\['this'\]"):
            assert_enqueued(tasks.echo, args=["that"])

    def test_assert_enqueued_fails_when_nothing_waits(self):
        with pytest.raises(AssertionError, match=r"expected at least 1.*none"):
            assert_enqueued(tasks.echo)

    def test_assert_enqueued_does_not_see_jobs_that_have_run(self):
        tasks.noop.enqueue()
        run_jobs()

        assert_enqueued(tasks.noop, count=0)


class TestEnqueued:
    def test_enqueued_returns_what_waits_oldest_first(self):
        first = tasks.echo.using(run_after=timedelta(1)).enqueue(1)
        second = tasks.noop.using(priority=9).enqueue()

        assert enqueued() == [first, second]
        assert enqueued(tasks.noop) == [second]


class TestTheFixture:
    def test_the_pytest_fixture_runs_and_inspects(self, dbqueue):
        tasks.add.enqueue(1, 2)

        dbqueue.assert_enqueued(tasks.add, args=[1, 2], count=1)
        assert len(dbqueue.enqueued(tasks.add)) == 1
        (result,) = dbqueue.run()
        assert result.return_value == 3

    def test_the_pytest_fixture_can_be_imported_without_settings(self):
        code = "import dbqueue.pytest_plugin as p; print(p.Jobs.__name__)"
        environment = {
            key: value
            for key, value in os.environ.items()
            if key != "DJANGO_SETTINGS_MODULE"
        }

        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            cwd=BASE.parent,
            env=environment,
            check=False,
        )

        assert (done.stdout, done.stderr) == ("Jobs\n", "")


def with_backend(settings, name):
    home = "backend" if name == "DatabaseBackend" else "testing"
    entry = {"BACKEND": f"dbqueue.{home}.{name}", "QUEUES": []}
    settings.TASKS = {"default": entry}
    return task_backends["default"]


@pytest.fixture
def immediate(settings):
    return with_backend(settings, "ImmediateBackend")


@pytest.fixture
def recording(settings):
    return with_backend(settings, "RecordingBackend")


@pytest.mark.usefixtures("immediate")
class TestTheImmediateBackend:
    def test_the_immediate_backend_runs_a_job_within_enqueue(self):
        result = tasks.add.enqueue(1, 2)

        assert (result.state, result.return_value) == ("SUCCESSFUL", 3)
        assert tasks.add.get_result(result.id) == result
        assert not Job.objects.exists()
        assert not FinishedJob.objects.exists()

    def test_the_immediate_backend_does_not_wait_for_the_time_of_a_job(self):
        result = tasks.add.using(run_after=timedelta(hours=1)).enqueue(1, 2)

        assert result.return_value == 3

    def test_the_immediate_backend_goes_on_with_other_arguments(self):
        assert tasks.next_pages.enqueue(1, seen=[]).return_value == [1, 2, 3]

    def test_the_immediate_backend_retries_without_waiting(self):
        result = tasks.fail.enqueue()

        assert (result.state, result.attempts) == ("FAILED", 2)
        assert len(result.errors) == 2

    def test_the_immediate_backend_snoozes_without_waiting(self):
        result = tasks.snooze_until.enqueue(3, after=3600)

        assert (result.return_value, result.attempts, result.errors) == (3, 3, [])

    def test_the_immediate_backend_knows_every_way_to_end(self):
        assert tasks.cancel.enqueue().state == "CANCELLED"
        assert tasks.succeed_at.enqueue(3).return_value == 3
        assert tasks.returns_object.enqueue().attempts == 1

    def test_the_immediate_backend_keeps_progress(self):
        result = tasks.make_progress.enqueue([1, 2, "half"])

        assert result.progress == Progress(value=1, total=2, message="half")

    def test_the_immediate_backend_runs_async_tasks_from_async_code(self):
        assert async_to_sync(tasks.aadd.aenqueue)(1, 2).return_value == 3

    def test_the_immediate_backend_keeps_atomic_jobs_atomic(self):
        tasks.write_group.enqueue("kept")
        tasks.write_group.enqueue("undone", "ValueError")

        assert [group.name for group in Group.objects.all()] == ["kept"]

    def test_the_immediate_backend_hands_on_the_context(self):
        with bind_context(trace="t"):
            assert tasks.tell_context.enqueue().return_value == {"trace": "t"}

    def test_the_immediate_backend_takes_paths_and_many_jobs(self):
        assert enqueue("tests.tasks.add", 1, 2).return_value == 3
        results = enqueue_many(tasks.add, [(1, 2), {"a": 3, "b": 4}])
        assert [result.return_value for result in results] == [3, 7]

    def test_the_immediate_backend_keeps_the_jobs_that_jobs_enqueue(self, immediate):
        outer = tasks.enqueue_three.enqueue()

        assert outer.state == "SUCCESSFUL"
        assert len(immediate.results) == 4
        inner = assert_enqueued(tasks.add, count=3)
        assert immediate.get_result(inner[0].id).return_value == 1

    def test_the_immediate_backend_keeps_what_other_threads_enqueue(self, immediate):
        together(partial(tasks.add.enqueue, 1, 2))

        assert_enqueued(tasks.add, count=1)

    def test_the_immediate_backend_survives_a_database_error(self):
        assert tasks.break_a_constraint.enqueue("x").state == "FAILED"
        assert tasks.abreak_a_constraint.enqueue("x").state == "FAILED"
        assert tasks.send_wrong_sql.enqueue().state == "FAILED"

        assert Group.objects.count() == 0

    def test_the_immediate_backend_refuses_what_the_real_one_refuses(self):
        with pytest.raises(InvalidPayload):
            tasks.echo.enqueue(object())


class TestTheRecordingBackend:
    def test_the_recording_backend_keeps_what_is_enqueued_and_runs_nothing(
        self, recording
    ):
        result = tasks.fail.using(run_after=timedelta(1), priority=7).enqueue()

        assert recording.results == [result]
        assert (result.state, result.task.priority) == ("READY", 7)
        assert recording.get_result(result.id) is result
        assert not Job.objects.exists()

    def test_the_recording_backend_needs_no_database(
        self, recording, django_assert_num_queries
    ):
        with django_assert_num_queries(0):
            tasks.noop.enqueue()
            enqueue_many(tasks.add, [(1, 2)])

        assert len(recording.results) == 2

    def test_the_recording_backend_answers_assert_enqueued(self, recording):
        tasks.add.enqueue(1, 2)

        assert_enqueued(tasks.add, args=[1, 2], count=1)
        recording.clear()
        assert enqueued() == []

    def test_the_recording_backend_begins_anew_with_each_override(self):
        entry = {"BACKEND": "dbqueue.testing.RecordingBackend", "QUEUES": []}
        other = {"BACKEND": "dbqueue.testing.ImmediateBackend", "QUEUES": []}
        override = partial(override_settings, TASKS={"default": entry})
        with override():
            tasks.noop.enqueue()

        with override():
            tasks.echo.enqueue(1)
            with override_settings(TASKS={"default": other}):
                tasks.echo.enqueue(2)

            assert [result.args for result in enqueued()] == [[1]]

    def test_the_recording_backend_knows_no_other_ids(self, recording):
        with pytest.raises(TaskResultDoesNotExist):
            recording.get_result("123")

    def test_the_recording_backend_is_a_backend_like_the_real_one(self, recording):
        assert isinstance(recording, DatabaseBackend)


@pytest.mark.parametrize("name", ["RecordingBackend", "ImmediateBackend"])
class TestWhatTheRealOneRefuses:
    def test_wrong_options_of_the_entry_are_refused(self, name, settings):
        options = {"defaults": {"queue:mail": {"timeout": -1}}}
        entry = {"BACKEND": f"dbqueue.testing.{name}", "OPTIONS": options, "QUEUES": []}
        settings.TASKS = {"default": entry}

        with pytest.raises(ImproperlyConfigured, match="timeout"):
            tasks.noop.enqueue()
        with pytest.raises(ImproperlyConfigured, match="timeout"):
            enqueue_many(tasks.noop, [()])

    def test_an_id_is_of_one_job(self, name, settings):
        with_backend(settings, name)
        chosen = tasks.add.using(job_id=UUID(int=7))
        first = chosen.enqueue(1, 2)

        again = chosen.enqueue(3, 4)

        assert (again.id, again.args, again.was_enqueued) == (first.id, [1, 2], False)
        assert_enqueued(tasks.add, count=1)
        with pytest.raises(JobIdTaken):
            tasks.noop.using(job_id=UUID(int=7)).enqueue()
        with pytest.raises(InvalidTask, match="for one job"):
            enqueue_many(chosen, [(1, 2)])


class TestMovesOfKeptJobs:
    @pytest.fixture(params=["RecordingBackend", "ImmediateBackend"])
    def result(self, request, settings):
        settings.TASKS = {
            "default": {"BACKEND": f"dbqueue.testing.{request.param}"},
        }
        return tasks.noop.enqueue()

    def test_a_recorded_job_is_cancelled_and_discarded(self, result):
        was_over = result.is_finished

        moved = result.cancel()

        assert bool(moved) != was_over
        assert result.is_finished
        assert result.discard().done == 1
        assert not task_backends["default"].results

    def test_what_is_over_is_waited_for_and_nothing_else(self, result):
        if result.is_finished:
            assert result.wait().state == "SUCCESSFUL"
        else:
            with pytest.raises(CannotWait, match="nothing runs what a RecordingBacke"):
                result.wait()

    def test_other_moves_are_refused_in_words(self, result):
        with pytest.raises(InvalidTaskBackend, match=r"retry\(\) is for jobs in a dat"):
            result.retry()
