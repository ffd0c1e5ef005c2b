import os
import subprocess
import sys
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.test import TestCase

from dbqueue import bind_context, enqueue, enqueue_many
from dbqueue.backend import DatabaseBackend
from dbqueue.exceptions import DbqueueError, InvalidPayload
from dbqueue.models import FinishedJob, Job, Worker
from dbqueue.tasks.framework import TaskResultDoesNotExist, task_backends
from dbqueue.tasks.results import Progress
from dbqueue.testing import assert_enqueued, enqueued, run_jobs
from tests import tasks
from tests.settings import BASE

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
    settings.TASKS = {"default": {"BACKEND": f"dbqueue.testing.{name}"}}
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

    def test_the_recording_backend_knows_no_other_ids(self, recording):
        with pytest.raises(TaskResultDoesNotExist):
            recording.get_result("123")

    def test_the_recording_backend_is_a_backend_like_the_real_one(self, recording):
        assert isinstance(recording, DatabaseBackend)
