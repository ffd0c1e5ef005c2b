from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from dbqueue import TaskTimeout, bind_context, current_context
from dbqueue.backend import DatabaseBackend
from dbqueue.exceptions import Cancel, InvalidPayload
from dbqueue.jobs.outcomes import MOST_SERIALIZATION_FAILURES
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.tasks.framework import (
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_finished,
    task_started,
)
from dbqueue.tasks.results import Progress
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support import context_tasks
from tests.support.workers import HandWorker, drain, heard

pytestmark = pytest.mark.django_db
with_transactions = pytest.mark.django_db(transaction=True)


def run_once(task, *args, **kwargs):
    """Enqueue a job, make one attempt, and return its row in the hot table."""
    result = task.enqueue(*args, **kwargs)
    run_jobs()
    return Job.objects.filter(pk=result.id).first()


def run_to_the_end(task, *args, **kwargs):
    result = task.enqueue(*args, **kwargs)
    run_jobs(scheduled=True)
    result.refresh()
    return result


def wait_of(job):
    """Return the seconds from the end of the last attempt to the next."""
    ended = datetime.fromisoformat(job.attempt_log[-1]["ended_at"])
    return (job.run_after - ended).total_seconds()


def damage(column, text):
    """Write a text into a column of every job, as only a hand in the table could."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        cursor.execute(f"UPDATE dbqueue_job SET {column} = %s", [text])
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def run_jobs_unread():
    """Run all jobs, and do not ask for their results, which may be damaged."""
    worker = HandWorker()
    for job in worker.claim(10):
        worker.holder().record(worker.run(job))


class TestAFailure:
    def test_a_failure_sends_the_job_back_to_wait(self):
        job = run_once(tasks.fail_and_wait, "once more")

        assert (job.state, job.attempt, job.failures) == (JobState.SCHEDULED, 1, 1)
        assert job.worker_id is None
        assert 29 < wait_of(job) < 60

    def test_a_failure_is_kept_in_the_log_of_attempts(self):
        job = run_once(tasks.fail_and_wait, "once more")

        (entry,) = job.attempt_log
        traceback = entry.pop("traceback")
        started, ended = (
            datetime.fromisoformat(entry.pop(key)) for key in ("started_at", "ended_at")
        )
        worker = UUID(entry.pop("worker"))
        assert entry == {
            "attempt": 1,
            "reason": "failed",
            "exception": "builtins.ValueError",
            "message": "once more",
        }
        assert traceback.startswith("Traceback (most recent call last):")
        assert traceback.endswith("ValueError: once more\n")
        assert "in fail_and_wait" in traceback
        assert started == job.last_attempted_at <= ended <= timezone.now()
        assert worker.version == 7

    def test_a_failure_with_a_long_message_is_cut(self):
        (entry,) = run_once(tasks.raise_, "ValueError", "x" * 9_000).attempt_log

        assert entry["message"] == "x" * 500
        assert len(entry["traceback"]) == 8_000

    def test_a_failure_with_a_message_no_database_takes_is_kept_escaped(self, quiet):
        (entry,) = run_once(tasks.fail_oddly).attempt_log

        assert entry["message"] == "a\\x00b \\ud800 é"

    def test_a_job_knows_its_last_attempt_even_if_its_log_is_full(self, tmp_path):
        seen = tmp_path / "seen"

        result = run_to_the_end(tasks.fail_and_tell_the_last, str(seen))

        assert result.state == "FAILED"
        assert seen.read_text() == "55\n"

    def test_a_failure_ends_the_job_when_no_attempt_is_left(self):
        result = run_to_the_end(tasks.fail)

        assert (result.status, result.state) == (TaskResultStatus.FAILED, "FAILED")
        assert len(result.errors) == len(result.worker_ids) == result.attempts == 2
        record = FinishedJob.objects.get()
        assert (record.attempt, record.failures, record.max_attempts) == (2, 2, 2)
        assert [entry["attempt"] for entry in record.attempt_log] == [1, 2]
        assert not Job.objects.exists()

    def test_a_failure_does_not_count_against_a_job_that_then_succeeds(self):
        result = run_to_the_end(tasks.succeed_at, 3)

        assert (result.state, result.return_value) == ("SUCCESSFUL", 3)
        assert (len(result.errors), result.attempts) == (2, 3)

    @pytest.mark.parametrize(
        "name", ["SystemExit", "KeyError", "GeneratorExit", "BaseException"]
    )
    def test_a_failure_may_be_any_exception(self, name):
        job = run_once(tasks.raise_, name)

        assert job.attempt_log[0]["exception"] == f"builtins.{name}"

    def test_a_failure_that_comes_after_enough_others_is_the_last(self):
        with override_settings(DBQUEUE={"MAX_ATTEMPTS": 1}):
            assert run_once(tasks.fail_and_wait) is None
        assert FinishedJob.objects.get().state == JobState.FAILED


class TestTheBackoff:
    def test_the_backoff_is_exponential_with_jitter_by_default(self):
        job = run_once(tasks.raise_, "ValueError")

        assert 3.7 < wait_of(job) < 30

    def test_the_backoff_may_be_a_sequence(self):
        waits = [wait_of(run_once(tasks.fail_in_sequence))]
        for _ in range(2):
            Job.objects.update(run_after=timezone.now())
            run_jobs()
            waits.append(wait_of(Job.objects.get()))

        assert [round(wait) for wait in waits] == [10, 20, 20]

    def test_the_backoff_may_be_a_function_of_the_exception_and_the_result(self):
        job = run_once(tasks.fail_with, "hopeful")
        assert round(wait_of(job)) == 7

        Job.objects.update(run_after=timezone.now())
        run_jobs()
        assert round(wait_of(Job.objects.get())) == 14

    def test_the_backoff_may_give_up(self):
        result = run_to_the_end(tasks.fail_with, "hopeless")

        assert (result.status, result.attempts) == ("FAILED", 1)

    def test_a_backoff_that_raises_is_replaced_by_the_default(self, caplog):
        job = run_once(tasks.fail_with_broken_backoff)

        assert 3.7 < wait_of(job) < 30
        assert "The backoff of task=tests.tasks.fail_with_broken" in caplog.text


class TestTheRules:
    @pytest.mark.parametrize(
        ("task", "name", "state"),
        [
            (tasks.retried_for_connections, "ConnectionResetError", "SCHEDULED"),
            (tasks.retried_for_connections, "OSError", "FAILED"),
            (tasks.given_up_for_lookups, "KeyError", "FAILED"),
            (tasks.given_up_for_lookups, "ValueError", "SCHEDULED"),
        ],
    )
    def test_the_rules_of_retries_decide_by_the_class_of_the_exception(
        self, task, name, state
    ):
        result = task.enqueue(name)
        run_jobs()
        result.refresh()

        assert (result.state, result.attempts) == (state, 1)


class TestRetry:
    def test_retry_runs_the_job_again_without_counting_a_failure(self):
        result = run_to_the_end(tasks.snooze_until, 4)

        assert (result.return_value, result.attempts) == (4, 4)
        assert result.errors == []
        record = FinishedJob.objects.get()
        assert (record.attempt, record.failures) == (4, 0)

    def test_retry_waits_as_long_as_it_says(self):
        job = run_once(tasks.snooze_until, 2, after=90)

        assert job.state == JobState.SCHEDULED
        assert 89 < wait_of(job) < 120

    @with_transactions
    def test_retry_may_ask_for_too_long_without_hurting_the_worker(self):
        far, other = tasks.snooze_until.enqueue(2, after=1e20), tasks.noop.enqueue()

        drain()

        far.refresh()
        other.refresh()
        assert (far.state, other.state) == ("SCHEDULED", "SUCCESSFUL")

    def test_retry_leaves_its_message_in_the_log(self):
        job = run_once(tasks.snooze_until, 2, after=90)

        (entry,) = job.attempt_log
        assert entry["reason"] == "snoozed"
        assert entry["message"] == "not before attempt 2"
        assert "traceback" not in entry

    def test_retry_may_go_on_with_other_arguments(self):
        result = run_to_the_end(tasks.next_pages, 1, seen=[b"first"])

        assert result.return_value == [b"first", 1, 2, 3]

    def test_arguments_of_a_job_that_was_taken_over_stay(self, worker):
        result = tasks.next_pages.enqueue(1, seen=[])
        (job,) = worker.claim()
        Job.objects.filter(pk=job.id).update(attempt=job.attempt + 1)

        worker.run(job)

        assert Job.objects.get(pk=result.id).args == {"typed": [1]}

    def test_retry_of_very_many_leaves_the_first_and_the_latest_in_the_log(self):
        result = run_to_the_end(tasks.snooze_until, 60)

        record = FinishedJob.objects.get()
        assert record.attempt == result.return_value == 60
        attempts = [entry["attempt"] for entry in record.attempt_log]
        assert attempts == [1, *range(11, 60)]
        assert len(attempts) == 50


class TestCancel:
    def test_cancel_ends_the_job_for_good(self):
        result = run_to_the_end(tasks.cancel)

        assert (result.state, result.status) == ("CANCELLED", TaskResultStatus.FAILED)
        assert result.attempts == 1
        assert result.errors[0].exception_class is Cancel
        (entry,) = FinishedJob.objects.get().attempt_log
        assert (entry["reason"], entry["message"]) == ("cancelled", "nobody needs it")

    def test_cancel_counts_no_failure(self):
        run_to_the_end(tasks.cancel)

        assert FinishedJob.objects.get().failures == 0


class TestTheResult:
    def test_the_result_has_the_moments_of_the_job(self):
        result = tasks.succeed_at.enqueue(2)
        run_jobs(scheduled=True)
        enqueued_at = result.enqueued_at
        result.refresh()

        assert result.enqueued_at == enqueued_at
        assert enqueued_at <= result.started_at
        assert result.started_at < result.last_attempted_at <= result.finished_at

    def test_the_result_names_the_worker_of_each_attempt(self):
        job = run_once(tasks.fail)
        Job.objects.update(run_after=timezone.now(), state=JobState.SCHEDULED)
        run_jobs()

        result = tasks.fail.get_result(str(job.pk))
        first, second = result.worker_ids
        assert first != second
        assert [UUID(id).version for id in (first, second)] == [7, 7]

    def test_the_result_names_the_worker_while_the_job_runs(self, worker):
        result = tasks.noop.enqueue()
        worker.claim()
        result.refresh()

        assert result.status == TaskResultStatus.RUNNING
        assert result.worker_ids == [str(worker.id)]
        assert result.finished_at is None

    def test_the_result_of_a_pruned_job_does_not_exist_any_more(self):
        result = run_to_the_end(tasks.noop)
        FinishedJob.objects.all().delete()

        with pytest.raises(TaskResultDoesNotExist, match=result.id):
            result.refresh()

    def test_a_result_that_is_not_json_fails_the_job_at_once(self):
        result = run_to_the_end(tasks.returns_object)

        assert (result.status, result.attempts) == ("FAILED", 1)
        assert result.errors[0].exception_class is InvalidPayload
        assert (
            "The result is of type 'object', which is not JSON"
            in result.errors[0].traceback
        )


class TestADamagedRow:
    @pytest.fixture
    def job(self):
        return tasks.echo.enqueue("x")

    def assert_fails_at_once(self, reason):
        run_jobs_unread()

        record = FinishedJob.objects.defer("args", "kwargs", "context").get()
        assert (record.state, record.attempt) == (JobState.FAILED, 1)
        (entry,) = record.attempt_log[-1:]
        assert entry["exception"] == "dbqueue.exceptions.InvalidPayload"
        assert reason in entry["message"]

    @pytest.mark.usefixtures("job")
    @pytest.mark.parametrize("column", ["args", "kwargs", "context", "attempt_log"])
    @pytest.mark.parametrize("text", ['"text"', "1", "null", "true"])
    def test_a_damaged_row_of_another_shape_fails_at_once(self, column, text):
        damage(column, text)

        self.assert_fails_at_once(f"Column '{column}' of job")

    @pytest.mark.usefixtures("job", "only_sqlite")
    @pytest.mark.parametrize("column", ["args", "kwargs", "context", "attempt_log"])
    @pytest.mark.parametrize("text", ["", "{", "[1", "nonsense", "\x00"])
    def test_a_damaged_row_that_is_not_json_fails_at_once(self, column, text):
        damage(column, text)

        self.assert_fails_at_once("is not valid JSON")

    @pytest.mark.usefixtures("job")
    def test_a_damaged_row_with_unfit_arguments_fails_like_any_call(self):
        damage("args", "[1, 2, 3]")
        run_jobs()

        (entry,) = Job.objects.get().attempt_log
        assert entry["exception"] == "builtins.TypeError"

    @pytest.mark.parametrize("log", ["[1]", '["x"]', "[{}]", '[{"exception": 1}]'])
    def test_a_damaged_row_with_strange_attempts_still_runs(self, job, log):
        damage("attempt_log", log)
        run_jobs()
        job.refresh()

        assert (job.state, job.return_value) == ("SUCCESSFUL", "x")

    @pytest.mark.parametrize("progress", ["[1]", "1", '"x"', '{"wrong": 1}', "{}"])
    def test_a_damaged_row_with_strange_progress_can_be_read(self, job, progress):
        damage("progress", progress)

        job.refresh()

        assert job.state == "READY"

    def test_a_damaged_row_does_not_hinder_the_jobs_beside_it(self, job):
        damage("args", '"text"')
        other = tasks.echo.enqueue("y")
        run_jobs_unread()
        other.refresh()

        assert other.return_value == "y"
        assert job.id != other.id


class TestTheContext:
    def test_the_context_travels_with_the_job(self):
        with bind_context(request_id="r-1", user=7):
            result = tasks.tell_context.enqueue()
        run_jobs()
        result.refresh()

        assert result.return_value == {"request_id": "r-1", "user": 7}
        assert FinishedJob.objects.get().context == {"request_id": "r-1", "user": 7}

    def test_the_context_is_inherited_by_the_jobs_of_a_job(self):
        with bind_context(trace="t"):
            result = tasks.enqueue_child.enqueue()
        run_jobs()
        result.refresh()

        child = tasks.tell_context.get_result(result.return_value)
        assert child.return_value == {"trace": "t"}

    def test_the_context_may_be_added_to_by_a_job(self):
        with bind_context(trace="t", child="?"):
            result = tasks.enqueue_child_with.enqueue("mine")
        run_jobs()
        result.refresh()

        child = tasks.tell_context.get_result(result.return_value)
        assert child.return_value == {"trace": "t", "child": "mine"}

    def test_the_context_does_not_leak_into_the_next_job_or_the_caller(self):
        with bind_context(trace="t"):
            tasks.noop.enqueue()
        other = tasks.tell_context.enqueue()
        run_jobs()
        other.refresh()

        assert other.return_value == {}
        assert current_context() == {}

    def test_the_context_ends_with_its_block(self):
        with bind_context(a=1):
            with bind_context(b=2):
                assert current_context() == {"a": 1, "b": 2}
            assert current_context() == {"a": 1}
        assert current_context() == {}

    @pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}])
    def test_the_context_must_be_json(self, value):
        with pytest.raises(InvalidPayload, match=r"^Context value 'x' "):
            bind_context(x=value).__enter__()


class TestProgress:
    def test_progress_can_be_read_while_the_job_runs_and_after(self):
        result = run_to_the_end(tasks.make_progress, [1, 4, "first"], [2, 4, "half"])

        assert result.progress == Progress(value=2, total=4, message="half")

    def test_progress_has_details_for_code(self):
        result = run_to_the_end(tasks.make_progress, [0, 1, "", {"state": ["a"]}])

        assert result.progress.details == {"state": ["a"]}

    def test_progress_needs_no_total(self):
        result = run_to_the_end(tasks.make_progress, [0.5])

        assert result.progress == Progress(value=0.5)

    def test_progress_may_have_a_long_message(self):
        result = run_to_the_end(tasks.make_progress, [1, 2, "x" * 600])

        assert result.state == "SUCCESSFUL"
        assert len(result.progress.message) == 500

    def test_progress_may_have_a_message_no_database_takes(self):
        result = run_to_the_end(tasks.make_odd_progress)

        assert result.progress.message == "a\\x00b \\ud800 é"

    def test_progress_is_nothing_without_a_word_of_it(self):
        assert run_to_the_end(tasks.noop).progress is None


class TestAnAtomicJob:
    def test_an_atomic_job_commits_with_what_it_did(self):
        result = run_to_the_end(tasks.write_group, "ours")

        assert (result.state, result.return_value) == ("SUCCESSFUL", "ours")
        assert Group.objects.get().name == "ours"

    @pytest.mark.parametrize("error", ["ValueError", "SystemExit"])
    def test_an_atomic_job_leaves_nothing_when_it_fails(self, error):
        result = run_to_the_end(tasks.write_group, "ours", error)

        assert result.state == "FAILED"
        assert not Group.objects.exists()

    @pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
    def test_an_atomic_job_is_run_again_when_the_database_asks_for_it(
        self, sqlstate, only_postgres
    ):
        task = tasks.write_group_but_be_refused
        result = run_to_the_end(task, "ours", sqlstate, times=3)

        assert (result.state, result.attempt) == ("SUCCESSFUL", 4)
        record = FinishedJob.objects.get(pk=result.id)
        assert [e["reason"] for e in record.attempt_log] == ["released"] * 3
        assert record.failures == 0
        assert Group.objects.get().name == "ours"

    def test_an_atomic_job_that_ran_often_by_its_own_wish_is_still_run_again(
        self, only_postgres
    ):
        snoozes = MOST_SERIALIZATION_FAILURES + 5
        result = run_to_the_end(tasks.snooze_and_be_refused, snoozes)

        assert (result.state, result.attempt) == ("SUCCESSFUL", snoozes + 2)

    def test_an_atomic_job_fails_if_it_hides_that_its_transaction_is_broken(self):
        result = run_to_the_end(tasks.write_group_twice, "ours")

        assert result.state == "FAILED"
        assert "TransactionManagementError" in result.errors[0].exception_class_path
        assert not Group.objects.exists()

    def test_an_atomic_job_is_not_run_again_for_ever(self, only_postgres):
        task = tasks.write_group_but_be_refused
        result = run_to_the_end(task, "ours", "40001", times=1000)

        most = MOST_SERIALIZATION_FAILURES
        assert (result.state, result.attempt) == ("FAILED", most + 1)
        assert not Group.objects.exists()

    def test_an_atomic_job_fails_of_other_errors_of_the_database(self, only_postgres):
        task = tasks.write_group_but_be_refused
        result = run_to_the_end(task, "ours", "57014", times=1)

        assert (result.state, result.attempt) == ("FAILED", 1)

    def test_an_atomic_job_leaves_nothing_when_its_claim_is_lost(self):
        result = tasks.write_group_and_lose_the_claim.enqueue("ours")
        run_jobs()
        result.refresh()

        assert result.state == "RUNNING"
        assert not Group.objects.exists()
        assert not FinishedJob.objects.exists()

    @with_transactions
    def test_an_atomic_job_commits_with_what_it_did_in_a_real_worker(self):
        done, failed = (
            tasks.write_group.enqueue("kept"),
            tasks.write_group.enqueue("undone", "ValueError"),
        )
        drain()
        done.refresh()
        failed.refresh()

        assert (done.state, failed.state) == ("SUCCESSFUL", "FAILED")
        assert [group.name for group in Group.objects.all()] == ["kept"]


class TestAJobThatFinishesInATransaction:
    def test_a_job_finished_in_a_transaction_commits_with_what_it_did_there(self):
        result = run_to_the_end(tasks.finish_with_group, "ours")

        assert (result.state, result.return_value) == ("SUCCESSFUL", "ours")
        assert Group.objects.get().name == "ours"

    @pytest.mark.parametrize("error", ["ValueError", "SystemExit"])
    def test_a_job_finished_in_a_transaction_leaves_nothing_when_it_fails_there(
        self, error
    ):
        result = run_to_the_end(tasks.finish_with_group, "ours", inside=error)

        assert result.state == "FAILED"
        assert not Group.objects.exists()

    def test_a_job_finished_in_a_transaction_leaves_nothing_when_its_claim_is_lost(
        self,
    ):
        result = tasks.finish_with_group.enqueue("ours", inside="lose")
        run_jobs()
        result.refresh()

        assert result.state == "RUNNING"
        assert not Group.objects.exists()

    def test_a_job_finished_in_a_transaction_leaves_nothing_when_its_result_is_not_json(
        self,
    ):
        result = run_to_the_end(tasks.finish_with_group, "ours", inside="result")

        assert result.state == "FAILED"
        assert not Group.objects.exists()

    @pytest.mark.parametrize("after", ["ValueError", "SystemExit", "again"])
    def test_a_job_finished_in_a_transaction_has_succeeded_whatever_it_does_then(
        self, after
    ):
        with heard(task_finished) as calls:
            result = run_to_the_end(tasks.finish_with_group, "ours", after=after)

        assert (result.state, result.return_value) == ("SUCCESSFUL", "ours")
        assert [group.name for group in Group.objects.all()] == ["ours"]
        assert len(calls) == 1

    @with_transactions
    def test_a_job_finished_in_a_transaction_commits_with_what_it_did_in_a_real_worker(
        self,
    ):
        done, failed = (
            tasks.finish_with_group.enqueue("kept"),
            tasks.finish_with_group.enqueue("undone", inside="ValueError"),
        )
        drain()
        done.refresh()
        failed.refresh()

        assert (done.state, failed.state) == ("SUCCESSFUL", "FAILED")
        assert [group.name for group in Group.objects.all()] == ["kept"]


@with_transactions
class TestWhatHappensBehindTheCommit:
    @pytest.mark.parametrize("what", ["raise", "exit"])
    @pytest.mark.parametrize(
        "task", [context_tasks.commit_and_then, context_tasks.finish_and_then]
    )
    def test_a_hook_that_raises_behind_the_commit_changes_no_end(self, task, what):
        with heard(task_finished) as calls:
            result = run_to_the_end(task, what)

        assert (result.state, result.return_value) == ("SUCCESSFUL", "done")
        assert [told.state for _, told in calls] == ["SUCCESSFUL"]
        assert Group.objects.count() == 1

    @pytest.mark.parametrize(
        "task", [context_tasks.commit_and_then, context_tasks.finish_and_then]
    )
    def test_a_timeout_behind_the_commit_changes_no_end(self, task, caplog):
        result = task.enqueue("spin")
        with heard(task_finished) as calls:
            drain()

        result.refresh()
        assert (result.state, result.return_value) == ("SUCCESSFUL", "done")
        assert [told.state for _, told in calls] == ["SUCCESSFUL"]
        assert "raised after its end" in caplog.text
        assert "Claim lost" not in caplog.text


class TestTheSignals:
    def test_the_signals_name_the_class_of_the_backend_and_come_in_order(self):
        result = tasks.noop.enqueue()
        with heard(task_started, task_finished) as calls:
            run_jobs()

        assert [sender for sender, _ in calls] == [DatabaseBackend] * 2
        assert {heard_of.id for _, heard_of in calls} == {result.id}

    def test_the_signals_see_the_result_as_it_is_then(self):
        seen = []

        def look(sender, task_result, **kwargs):
            seen.append((task_result.status, task_result.attempts))

        tasks.noop.enqueue()
        for signal in (task_started, task_finished):
            signal.connect(look)
        try:
            run_jobs()
        finally:
            for signal in (task_started, task_finished):
                signal.disconnect(look)

        assert seen == [("RUNNING", 1), ("SUCCESSFUL", 1)]

    def test_the_signals_tell_of_the_end_only_at_the_end(self):
        tasks.fail.enqueue()
        with heard(task_started) as starts, heard(task_finished) as ends:
            run_jobs(scheduled=True)

        assert (len(starts), len(ends)) == (2, 1)
        assert len(ends[0][1].errors) == 2

    def test_the_signals_do_not_hurt_the_job_when_a_receiver_fails(self):
        def broken(**kwargs):
            raise RuntimeError("A broken receiver")

        task_finished.connect(broken)
        try:
            result = run_to_the_end(tasks.noop)
        finally:
            task_finished.disconnect(broken)

        assert result.state == "SUCCESSFUL"


@with_transactions
class TestWhatAJobLeavesBehind:
    @pytest.mark.parametrize(
        "task", [tasks.leave_things_behind, tasks.aleave_things_behind]
    )
    def test_what_a_job_leaves_behind_does_not_reach_the_next_job_in_the_same_thread(
        self, task
    ):
        mess = task.enqueue()
        result = tasks.tell_surroundings.enqueue()

        drain(threads=1, async_concurrency=1)

        mess.refresh()
        result.refresh()
        assert mess.state == "SUCCESSFUL"
        assert result.return_value == ["en", "Asia/Kathmandu", False, []]


@with_transactions
class TestATimeout:
    def test_a_timeout_stops_the_job_and_counts_a_failure(self):
        sync, coroutine = tasks.spin.enqueue(), tasks.aspin.enqueue()

        drain()

        for result in (sync, coroutine):
            result.refresh()
            assert result.state == "FAILED"
            assert result.errors[0].exception_class is TaskTimeout
            assert "ran longer than 0.2 s" in result.errors[0].traceback
        reasons = [job.attempt_log[0]["reason"] for job in FinishedJob.objects.all()]
        assert reasons == ["timeout", "timeout"]

    def test_a_timeout_does_not_reach_the_next_job(self):
        tasks.spin.enqueue()
        others = [tasks.noop.enqueue() for _ in range(20)]

        drain(threads=1)

        for result in others:
            result.refresh()
            assert (result.state, result.attempts) == ("SUCCESSFUL", 1)


def test_seconds_until_due_are_counted_by_the_database(worker):
    tasks.noop.using(run_after=timedelta(seconds=60)).enqueue()

    assert 30 < worker.dialect.next_due().due <= 60
