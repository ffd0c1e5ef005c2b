"""What is done to jobs from outside a worker, and what the answer says."""

import asyncio
import logging
from collections import Counter
from datetime import timedelta
from threading import Event
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import FieldError
from django.db import connection, connections, transaction
from django.utils import timezone

from dbqueue import bind_context, dialects, enqueue_many, jobs, task
from dbqueue.dialects.moves import EXCEPTIONS
from dbqueue.exceptions import CannotWait, WrongArguments
from dbqueue.ids import uuid7
from dbqueue.jobs import moves
from dbqueue.jobs.moves import waiting
from dbqueue.jobs.refusals import set_aside
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    task_finished,
)
from dbqueue.testing import run_jobs
from tests import tasks
from tests.jobs.test_events import received
from tests.support import invariants
from tests.support.processes import NEVER, PATIENCE, wait_until
from tests.support.unique_tasks import report
from tests.support.workers import (
    HandWorker,
    drain,
    heard,
    together,
    waiting_for_locks,
)

pytestmark = pytest.mark.django_db

WAITING = ("SCHEDULED", "BLOCKED", "PAUSED", "READY")
FINISHED = ("SUCCESSFUL", "FAILED", "CANCELLED")
STATES = (*WAITING, "RUNNING", *FINISHED)
# The arguments of each move, and the states of the jobs that it is for.
MOVES = {
    "cancel": ((), WAITING),
    "retry": ((), FINISHED),
    "run_now": ((), ("SCHEDULED",)),
    "reschedule": ((timedelta(hours=2),), WAITING),
    "move_to": (("reports",), WAITING),
    "set_priority": ((7,), WAITING),
    "discard": ((), FINISHED),
}


@task(max_attempts=1)
def fail_once(message="no luck"):
    raise ValueError(message)


@task(max_attempts=3, backoff=0, takes_context=True)
def fail_three_times(context):
    if context.attempt <= 3:
        raise LookupError("not yet")
    return context.attempt


@task(max_attempts=3, backoff=0)
def fail_always():
    raise LookupError("never")


@task(max_attempts=1, takes_context=True)
def fail_in_turn(context):
    raise KeyError if context.attempt == 1 else OSError


TooLong = type("E" * 400, (Exception,), {})


@task(max_attempts=1)
def long():
    raise TooLong


@task
def take(name, *, number=1):
    return [name, number]


@task(max_attempts=1)
def wait_for_another(allowed=False):
    return tasks.noop.enqueue().wait(0.0, allow_in_job=allowed).state


def a_job(state):
    """Return the result of a job in the state."""
    if state == "SCHEDULED":
        return tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
    if state == "BLOCKED":
        result = tasks.noop.enqueue()
        Job.objects.filter(pk=result.id).update(state="BLOCKED", lane="user:7")
        return result
    if state == "PAUSED":
        result = tasks.noop.enqueue()
        Job.objects.filter(pk=result.id).update(state="PAUSED")
        return result
    if state == "RUNNING":
        result = tasks.noop.using(queue_name="now").enqueue()
        HandWorker("now").claim()
        return result
    if state in FINISHED:
        work = {"FAILED": fail_once, "CANCELLED": tasks.cancel}.get(state, tasks.noop)
        result = work.using(queue_name="now").enqueue()
        run_jobs(queues=["now"])
        return result
    return tasks.noop.enqueue()


def row(result):
    """Return the one row of the job."""
    (found,) = [
        found
        for model in (Job, FinishedJob)
        for found in model.objects.filter(pk=result.id)
    ]
    return found


class TestWhatMovesApplyTo:
    @pytest.mark.parametrize("state", STATES)
    @pytest.mark.parametrize("move", MOVES)
    def test_a_move_is_made_of_jobs_in_its_states_and_skips_the_others(
        self, move, state
    ):
        result = a_job(state)
        arguments, states = MOVES[move]

        moved = getattr(jobs, move)(result.id, *arguments)

        expected = jobs.Moved(move=move)
        if state in states:
            expected.done, expected.ids = 1, [result.id]
        elif (move, state) == ("cancel", "RUNNING"):
            expected.asked, expected.ids = 1, [result.id]
        else:
            expected.skipped = {state.lower(): 1}
        assert moved == expected
        assert bool(moved) == bool(expected.ids)
        if not moved:
            assert row(result).state == state

    @pytest.mark.parametrize("move", MOVES)
    def test_an_id_that_no_job_has_is_skipped(self, move):
        arguments, _ = MOVES[move]

        moved = getattr(jobs, move)(uuid7(), *arguments)

        assert (moved.done, moved.skipped) == (0, {"unknown": 1})

    @pytest.mark.parametrize("move", MOVES)
    def test_a_malformed_id_is_refused_before_anything_is_done(self, move):
        results = [a_job("READY"), a_job("FAILED")]
        arguments, _ = MOVES[move]

        with pytest.raises(ValueError, match="'abc' is not a job id"):
            getattr(jobs, move)([*results, "abc"], *arguments)

        assert [row(result).state for result in results] == ["READY", "FAILED"]

    @pytest.mark.parametrize("move", MOVES)
    def test_results_have_the_same_moves(self, move):
        arguments, states = MOVES[move]
        result = a_job(states[0])

        assert getattr(result, move)(*arguments).done == 1

    @pytest.mark.parametrize("move", MOVES)
    def test_each_move_has_its_async_twin(self, move):
        arguments, states = MOVES[move]
        first, second, third = (a_job(states[0]) for _ in range(3))

        async def all_three():
            return [
                await getattr(jobs, f"a{move}")(first.id, *arguments),
                await getattr(second, f"a{move}")(*arguments),
                await getattr(jobs.choose(third), f"a{move}")(*arguments),
            ]

        assert [moved.done for moved in async_to_sync(all_three)()] == [1, 1, 1]

    def test_several_jobs_are_moved_and_each_skip_is_counted_by_its_reason(self):
        failed = [a_job("FAILED") for _ in range(3)]
        others = [a_job("SCHEDULED"), a_job("SCHEDULED"), uuid7()]

        moved = jobs.retry([*failed, *others])

        assert str(moved) == "3 retried, 3 skipped (2 scheduled, 1 unknown)"
        assert moved.ids == [result.id for result in failed]

    def test_rows_and_querysets_are_taken_as_well(self):
        failed, cancelled = a_job("FAILED"), a_job("CANCELLED")

        assert jobs.retry(FinishedJob.objects.get(pk=failed.id)).done == 1
        assert jobs.retry(FinishedJob.objects.all()).ids == [cancelled.id]
        assert jobs.cancel(Job.objects.order_by("pk")[:1]).done == 1

    def test_what_names_no_job_is_refused(self):
        with pytest.raises(TypeError, match="7 names no job"):
            jobs.cancel(7)
        with pytest.raises(InvalidTaskBackend, match="'defualt' doesn't exist"):
            jobs.cancel(uuid7(), backend="defualt")

    def test_values_are_checked_before_anything_is_done(self):
        result = a_job("READY")

        for wrong in (
            lambda: result.reschedule(5),
            lambda: result.reschedule(None),
            lambda: result.move_to("a,b"),
            lambda: result.set_priority(101),
            lambda: jobs.filter(state="READY").set_priority("high"),
        ):
            with pytest.raises(InvalidTask):
                wrong()
        with pytest.raises(ValueError, match="batch=0"):
            jobs.cancel(result, batch=0)
        assert row(result).state == "READY"


class TestCancel:
    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("state", WAITING)
    def test_a_job_that_waits_is_over_at_once(self, state):
        result = a_job(state)

        result.cancel(reason="a mistake", by="ada")

        assert not run_jobs(scheduled=True)
        result.refresh()
        assert (result.state, result.status, result.attempts) == (
            "CANCELLED",
            "FAILED",
            0,
        )
        (entry,) = row(result).attempt_log
        assert (entry["reason"], entry["why"]) == ("cancelled", "a mistake")
        assert entry["by"] == "ada"
        assert not result.worker_ids
        invariants.check(committed=[UUID(result.id)])

    @pytest.mark.django_db(transaction=True)
    def test_the_attempts_before_are_kept(self):
        result = tasks.fail_and_wait.enqueue()
        run_jobs()

        result.cancel()

        ended = row(result)
        assert [e["reason"] for e in ended.attempt_log] == ["failed", "cancelled"]
        assert (ended.attempt, ended.failures) == (1, 1)
        invariants.check(committed=[ended.pk])

    def test_a_second_cancel_of_a_running_job_asks_it_no_second_time(self):
        result = a_job("RUNNING")
        result.cancel()

        moved = result.cancel()

        assert (moved.done, moved.asked, moved.skipped) == (0, 0, {"stopping": 1})

    def test_a_reason_that_a_column_cannot_hold_is_made_to_fit(self):
        result = a_job("READY")

        result.cancel(reason="\0" + "x" * 1000, by="y" * 1000)

        (entry,) = row(result).attempt_log
        assert (len(entry["why"]), len(entry["by"])) == (500, 255)

    def test_a_running_job_shows_who_has_asked_it_to_stop_and_why(self):
        result = a_job("RUNNING")

        jobs.cancel(result, by="ada", reason="a mistake")

        job = row(result)
        assert (job.cancelled_by, job.cancel_reason) == ("ada", "a mistake")


class TestRetry:
    def test_the_job_runs_again_under_its_id_with_no_failures(self):
        with bind_context(request="r1"):
            result = fail_three_times.using(queue_name="mail", priority=3).enqueue()
        run_jobs()
        before = row(result)
        assert (before.state, before.attempt, before.failures) == ("FAILED", 3, 3)

        result.retry()

        again = row(result)
        assert (again.state, again.attempt, again.failures) == ("READY", 3, 0)
        kept = ("queue_name", "priority", "args", "kwargs", "context", "enqueued_at")
        for name in kept:
            assert getattr(again, name) == getattr(before, name)
        assert (again.worker_id, again.progress) == (None, None)
        run_jobs()
        result.refresh()
        assert (result.state, result.return_value, result.attempts) == (
            "SUCCESSFUL",
            4,
            4,
        )
        reasons = [entry["reason"] for entry in row(result).attempt_log]
        assert reasons == ["failed"] * 3

    @pytest.mark.django_db(transaction=True)
    def test_a_job_that_succeeded_runs_again_and_its_first_run_is_on_record(self):
        result = take.enqueue("Ada")
        run_jobs()
        (first,) = row(result).worker_ids

        result.retry()
        run_jobs()

        ended = row(result)
        assert (ended.state, ended.attempt) == ("SUCCESSFUL", 2)
        assert ended.attempt_log[0]["reason"] == "successful"
        assert ended.worker_ids[0] == first
        invariants.check(committed=[ended.pk])

    def test_a_job_that_was_cancelled_before_it_ran_runs(self):
        result = a_job("SCHEDULED")
        result.cancel()

        result.retry()
        run_jobs()

        result.refresh()
        assert (result.state, result.attempts) == ("SUCCESSFUL", 1)

    def test_a_job_of_a_lane_waits_for_its_gate(self):
        result = a_job("FAILED")
        FinishedJob.objects.update(lane="user:7", fair_group="users")

        result.retry()

        again = row(result)
        assert (again.state, again.lane, again.fair_group) == (
            "BLOCKED",
            "user:7",
            "users",
        )

    def test_a_job_waits_since_it_was_retried(self):
        result = a_job("FAILED")
        FinishedJob.objects.update(enqueued_at=timezone.now() - timedelta(days=3))

        result.retry()

        (count,) = dialects.of("default").queue_counts(10)
        assert count.wait < 3600

    @pytest.mark.django_db(transaction=True)
    def test_failures_before_a_retry_do_not_count_after_it(self):
        result = fail_always.enqueue()
        run_jobs()
        result.retry()

        run_jobs()

        ended = row(result)
        assert ended.failures == 3
        assert len(ended.attempt_log) == 6
        invariants.check(committed=[ended.pk])

    def test_a_chosen_id_stays_taken_while_its_job_runs_again(self):
        id = uuid7()
        once = fail_once.using(job_id=id)
        result = once.enqueue()
        run_jobs()
        result.retry()

        assert once.enqueue().state == "READY"

        assert Job.objects.get().pk == id

    @pytest.mark.django_db(transaction=True)
    def test_two_that_retry_the_same_jobs_at_once_run_each_once_more(self):
        enqueue_many(tasks.noop, [()] * 300)
        drain()
        ids = list(FinishedJob.objects.values_list("pk", flat=True))

        answers = together(
            lambda: jobs.retry(ids, batch=50),
            lambda: jobs.retry(list(reversed(ids)), batch=70),
            lambda: jobs.filter(task=tasks.noop).retry(batch=90),
        )

        assert sum(moved.done for moved in answers) == 300
        drain()
        # One that a busy worker gives back, without a start, has one attempt more.
        assert FinishedJob.objects.filter(attempt__gte=2).count() == 300
        invariants.check(committed=ids, at_rest=True)


class TestRetryWithOtherArguments:
    @pytest.fixture
    def failed(self):
        with bind_context(request="r1"):
            result = take.using(queue_name="mail", priority=3).enqueue("Ada", number=2)
        run_jobs()
        return result

    def test_a_new_job_says_of_which_it_is_a_retry(self, failed):
        moved = failed.retry(args=["Grace"])

        (id,) = moved.ids
        new = Job.objects.get(pk=id)
        assert str(new.retry_of) == failed.id != id
        assert (new.args, new.kwargs) == (["Grace"], {"number": 2})
        assert (new.queue_name, new.priority) == ("mail", 3)
        assert new.context == {"request": "r1"}
        assert row(failed).state == "SUCCESSFUL"
        run_jobs()
        assert str(FinishedJob.objects.get(pk=id).retry_of) == failed.id

    def test_keyword_arguments_can_be_changed_alone(self, failed):
        (id,) = failed.retry(kwargs={"number": 5}).ids

        new = Job.objects.get(pk=id)
        assert (new.args, new.kwargs) == (["Ada"], {"number": 5})

    def test_arguments_that_the_task_does_not_take_are_refused(self, failed):
        with pytest.raises(WrongArguments):
            failed.retry(args=[1, 2, 3])

        assert not Job.objects.exists()

    def test_only_a_finished_job_can_be_retried_so(self):
        result = a_job("READY")

        moved = result.retry(args=["Grace"])

        assert moved.skipped == {"ready": 1}
        assert Job.objects.count() == 1

    def test_several_jobs_cannot_be_given_the_same_arguments(self, failed):
        with pytest.raises(ValueError, match="one job, chosen by its id"):
            jobs.retry([failed.id, uuid7()], args=["Grace"])


class TestOfWaitingJobs:
    def test_a_scheduled_job_is_made_ready_now(self):
        result = a_job("SCHEDULED")

        result.run_now()

        assert row(result).state == "READY"
        assert run_jobs()

    def test_a_scheduled_job_of_a_lane_waits_for_its_gate(self):
        result = a_job("SCHEDULED")
        Job.objects.update(lane="user:7")

        result.run_now()

        assert row(result).state == "BLOCKED"

    @pytest.mark.parametrize("state", WAITING)
    def test_a_job_is_put_off_to_a_moment(self, state):
        result, moment = a_job(state), timezone.now() + timedelta(days=1)

        result.reschedule(moment)

        found = row(result)
        assert (found.state, found.run_after) == ("SCHEDULED", moment)

    def test_a_job_is_put_off_for_a_time(self):
        result = a_job("READY")

        result.reschedule(timedelta(hours=2))

        left = row(result).run_after - timezone.now()
        assert timedelta(hours=1, minutes=50) < left <= timedelta(hours=2)

    @pytest.mark.parametrize("state", WAITING)
    def test_a_moment_that_is_past_makes_a_scheduled_job_due(self, state):
        result = a_job(state)

        result.reschedule(timezone.now() - timedelta(days=1))

        assert row(result).state == {"SCHEDULED": "READY"}.get(state, state)

    def test_a_job_is_put_into_another_queue_and_priority(self):
        result = a_job("READY")

        result.move_to("reports")
        result.set_priority(-3)

        assert (row(result).queue_name, row(result).priority) == ("reports", -3)

    def test_a_queue_that_the_backend_has_not_is_refused(self, settings):
        settings.TASKS = {
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": ["default", "reports"],
            }
        }
        result = a_job("READY")

        with pytest.raises(InvalidTask, match="Did you mean 'reports'"):
            result.move_to("report")

        assert row(result).queue_name == "default"


class TestFilter:
    def test_jobs_are_found_by_their_columns_in_both_tables(self):
        ready = tasks.noop.using(queue_name="mail").enqueue()
        done = tasks.noop.using(queue_name="mail").enqueue()
        worker = HandWorker("mail")
        job, _ = worker.claim(2)
        worker.finish(job)
        tasks.noop.enqueue()

        found = jobs.filter(queue_name="mail")

        assert {result.id for result in found} == {ready.id, done.id}
        assert found.count() == 2
        assert jobs.filter(queue_name__in=["mail"], state="RUNNING").count() == 1
        assert jobs.filter(task=tasks.noop, finished_at__isnull=False).count() == 1

    @pytest.mark.parametrize(
        "exception",
        ["ValueError", "builtins.ValueError", ValueError],
    )
    def test_failed_jobs_are_found_by_their_exception(self, exception):
        fail_once.enqueue()
        fail_three_times.enqueue()
        tasks.noop.enqueue()
        run_jobs()

        found = jobs.filter(exception=exception)

        assert [result.task for result in found] == [fail_once]

    def test_an_exception_that_nothing_failed_by_finds_nothing(self):
        a_job("FAILED")

        assert jobs.filter(exception="Error").count() == 0

    def test_unknown_columns_states_and_lookups_are_refused(self):
        for conditions, words in (
            ({"queue": "mail"}, "Jobs have no column 'queue'"),
            ({"queue_nam": "mail"}, "Did you mean 'queue_name'"),
            ({"state": "FAILD"}, "Did you mean 'FAILED'"),
        ):
            with pytest.raises(ValueError, match=words):
                jobs.filter(**conditions)
        with pytest.raises(FieldError):
            jobs.filter(priority__high=1)
        with pytest.raises(TypeError, match="exception=7"):
            jobs.filter(exception=7)

    def test_all_that_match_are_moved_in_batches_with_progress(self):
        enqueue_many(fail_once, [()] * 5)
        tasks.noop.enqueue()
        run_jobs()
        seen = []

        moved = jobs.filter(exception="ValueError").retry(
            batch=2, progress=lambda moved: seen.append(moved.done)
        )

        assert (seen, moved.done, moved.skipped) == ([2, 4, 5], 5, {})
        assert Job.objects.count() == 5

    def test_a_filter_moves_only_what_the_move_is_for(self):
        for state in STATES:
            a_job(state)

        moved = jobs.filter().set_priority(5)

        assert (moved.done, moved.skipped) == (len(WAITING), {})

    def test_jobs_that_were_retried_and_failed_again_meanwhile_are_not_met_again(self):
        enqueue_many(fail_once, [()] * 4)
        run_jobs()

        moved = jobs.filter(state="FAILED").retry(
            batch=2, progress=lambda moved: run_jobs()
        )

        assert moved.done == 4
        assert {job.attempt for job in FinishedJob.objects.all()} == {2}

    def test_a_damaged_id_keeps_no_selection_from_its_end(self, only_sqlite):
        tasks.noop.enqueue()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE dbqueue_job SET id = 'zzz'")

        moved = jobs.filter(queue_name="default").cancel(batch=1)

        assert (moved.done, moved.skipped) == (0, {"unknown": 1})


class TestTheExceptionInTheHistory:
    def end(self):
        """Return what the history says of the only job."""
        return FinishedJob.objects.values_list("state", "exception").get()

    def test_it_is_that_of_the_last_attempt(self):
        fail_once.enqueue()
        run_jobs()

        assert self.end() == ("FAILED", "builtins.ValueError")

    def test_of_a_job_that_was_lost_it_says_so(self):
        fail_once.enqueue()
        worker = HandWorker()
        worker.claim()
        leases.retire("default", worker.id)
        rescue_orphans("default")

        assert self.end() == ("FAILED", "dbqueue.exceptions.WorkerLost")

    def test_a_job_that_may_not_be_run_has_one(self):
        fail_once.enqueue()
        Job.objects.update(task="os.system")
        run_jobs()

        assert self.end() == ("FAILED", "dbqueue.exceptions.TaskNotAllowed")

    def test_a_job_that_is_set_aside_has_one(self):
        result = fail_once.enqueue()

        set_aside(
            dialects.of("default"), UUID(result.id), UUID(int=0), ValueError("no")
        )

        assert self.end() == ("FAILED", "dbqueue.exceptions.InvalidPayload")

    def test_a_path_that_is_longer_than_its_column_is_cut(self):
        long.enqueue()
        run_jobs()

        assert self.end() == (
            "FAILED",
            f"{__name__}.{TooLong.__name__}"[:255],
        )

    @pytest.mark.parametrize("state", ["SUCCESSFUL", "CANCELLED"])
    def test_what_did_not_fail_has_none(self, state):
        a_job(state)

        assert self.end() == (state, None)

    def test_a_job_that_fails_again_after_a_retry_has_the_new_one(self):
        result = fail_in_turn.enqueue()
        run_jobs()
        assert self.end() == ("FAILED", "builtins.KeyError")
        result.retry()
        run_jobs()

        assert self.end() == ("FAILED", "builtins.OSError")


class TestTheIndexOfExceptions:
    @pytest.fixture
    def history(self):
        now = timezone.now()
        FinishedJob.objects.bulk_create(
            FinishedJob(
                task="a.b",
                queue_name="mail",
                backend="default",
                max_attempts=1,
                state="FAILED" if number % 10 == 0 else "SUCCESSFUL",
                exception=None if number % 10 else f"some.Error{number % 30}",
                enqueued_at=now,
                finished_at=now,
            )
            for number in range(3000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE dbqueue_finishedjob")

    @pytest.mark.usefixtures("history")
    def test_it_finds_the_next_jobs_to_move(self):
        (first, *_) = jobs.filter(exception="Error0")
        rows = jobs.filter(exception="Error0").rows(FinishedJob)

        plan = rows.filter(pk__gt=first.id).order_by("pk")[:50].explain()

        assert "dbqueue_finishedjob_exception" in plan

    @pytest.mark.usefixtures("history")
    def test_it_finds_the_classes_by_one_probe_each(self):
        explain = (
            "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        )

        with connection.cursor() as cursor:
            cursor.execute(f"{explain} {EXCEPTIONS}")
            plan = str(cursor.fetchall())

        assert "dbqueue_finishedjob_exception" in plan
        assert "Seq Scan" not in plan
        assert dialects.of("default").exceptions() == [
            *("some.Error0", "some.Error10", "some.Error20")
        ]


@pytest.mark.django_db(transaction=True)
class TestAtTheSameTime:
    def test_a_job_that_is_cancelled_while_workers_drain_has_one_end(self):
        ids = [UUID(r.id) for r in enqueue_many(tasks.noop, [()] * 300)]

        moved, _ = together(
            lambda: jobs.filter(task=tasks.noop).cancel(batch=20), drain
        )

        assert not Job.objects.exists()
        ends = Counter(FinishedJob.objects.values_list("state", flat=True))
        assert ends.total() == 300
        assert moved.done <= ends["CANCELLED"] <= moved.done + moved.asked
        invariants.check(committed=ids, at_rest=True)

    def test_two_that_cancel_the_same_jobs_cancel_each_once(self):
        ids = [UUID(r.id) for r in enqueue_many(tasks.noop, [()] * 200)]

        answers = together(
            lambda: jobs.cancel(ids, batch=60),
            lambda: jobs.cancel(list(reversed(ids)), batch=50),
        )

        assert sum(moved.done for moved in answers) == 200
        assert sum(moved.skipped.get("cancelled", 0) for moved in answers) == 200

    def test_a_job_that_is_locked_is_waited_for_after_the_others(self):
        ids = [UUID(result.id) for result in enqueue_many(tasks.noop, [()] * 3)]
        held, others_are_done = Event(), Event()

        def hold():
            with transaction.atomic():
                Job.objects.filter(pk=ids[0]).update(priority=1)
                held.set()
                if connection.vendor == "postgresql":
                    while FinishedJob.objects.count() < 2:
                        others_are_done.wait(0.01)

        def cancel():
            held.wait()
            return jobs.cancel(ids)

        _, moved = together(hold, cancel)

        assert (moved.done, moved.skipped) == (3, {})
        assert FinishedJob.objects.get(pk=ids[0]).priority == 1

    def test_a_retry_that_was_held_up_does_not_retry_what_has_run_again_meanwhile(
        self, only_postgres
    ):
        """On SQLite nobody can be between another one's look and its write."""
        ids = [UUID(report.enqueue(1).id), UUID(tasks.noop.enqueue().id)]
        drain()
        held, ran = Event(), Event()

        def hold():
            with transaction.atomic():
                report.enqueue(1)  # its key is wanted back by the first retry
                held.set()
                wait_until(lambda: waiting_for_locks() == 2 or ran.is_set(), "both try")
                transaction.set_rollback(True)

        def retry_both():
            held.wait()
            return jobs.retry(ids)

        def retry_one():
            wait_until(lambda: waiting_for_locks() == 1, "the other one is held up")
            moved = jobs.retry(ids[1:])
            drain()
            ran.set()
            return moved

        _, both, one = together(hold, retry_both, retry_one)

        drain()
        assert both.done + one.done == 2
        assert set(FinishedJob.objects.values_list("pk", "attempt")) == {
            (id, 2) for id in ids
        }
        invariants.check(committed=ids, at_rest=True)


class TestGet:
    @pytest.mark.parametrize("state", STATES)
    def test_a_job_is_found_in_any_state(self, state):
        result = a_job(state)

        found = jobs.get(result.id)

        assert (found.id, found.state, found.task) == (result.id, state, result.task)
        assert async_to_sync(jobs.aget)(result.id).state == state

    def test_its_task_need_not_be_there_any_more(self):
        result = a_job("READY")
        Job.objects.update(task="gone.tasks.send")

        assert jobs.get(result.id).task.module_path == "gone.tasks.send"

    @pytest.mark.parametrize("id", ["abc", str(UUID(int=7))])
    def test_an_id_that_no_job_has_is_an_error(self, id):
        with pytest.raises(TaskResultDoesNotExist, match=id):
            jobs.get(id)


@pytest.mark.django_db(transaction=True)
class TestNews:
    @pytest.mark.parametrize("move", MOVES)
    def test_a_move_has_one_signal_and_one_line_of_the_log(self, move, caplog):
        arguments, states = MOVES[move]
        result = a_job(states[0])
        caplog.set_level(logging.INFO, "dbqueue.jobs.moves")
        caplog.clear()

        with received() as calls:
            getattr(result, move)(*arguments)

        ((name, sender, event),) = calls
        assert sender is Job
        is_cancel = move == "cancel"
        assert name == ("job_cancelled" if is_cancel else "job_moved")
        assert event.reason == ("cancelled" if is_cancel else move)
        assert str(event.id) == result.id
        (record,) = [r for r in caplog.records if r.name.startswith("dbqueue")]
        assert record.levelname == "INFO"
        assert record.job_id == result.id
        assert record.getMessage().endswith(f"state={event.state} move={move}")

    def test_djangos_signal_tells_of_a_cancelled_job(self):
        result = a_job("READY")

        with heard(task_finished) as calls:
            result.cancel()

        ((_, told),) = calls
        assert (told.id, told.state) == (result.id, "CANCELLED")

    def test_nothing_is_told_of_a_move_that_is_rolled_back(self):
        result = a_job("READY")

        with received() as calls, transaction.atomic():
            moved = moves.cancel("default", [UUID(result.id)])
            transaction.set_rollback(True)

        assert (moved.done, calls) == (1, [])
        assert row(result).state == "READY"

    def test_a_move_wakes_an_idle_worker(self):
        if not dialects.of("default").can_notify:
            pytest.skip("nothing is announced on SQLite")
        result = a_job("FAILED")
        listener = dialects.of("default").listener()
        listener.open()
        try:
            result.retry()
            heard = set()
            for _ in range(100):
                heard |= listener.received()
                if heard:
                    break
                Event().wait(0.05)
        finally:
            listener.close()

        assert heard == {"now"}


@pytest.mark.django_db(transaction=True)
class TestWait:
    def test_a_job_that_has_ended_is_not_waited_for(self):
        result = a_job("FAILED")

        assert result.wait(0).state == "FAILED"
        assert jobs.choose(result).wait(0).id == result.id

    def test_a_job_that_ends_elsewhere_is_waited_for(self):
        result = tasks.add.enqueue(1, 2)

        waited, _ = together(lambda: result.wait(60), drain)

        assert waited is result
        assert (result.state, result.return_value) == ("SUCCESSFUL", 3)

    def test_async_code_waits_as_well(self):
        result = tasks.add.enqueue(1, 2)

        async def wait():
            try:
                return await result.await_result(60)
            finally:  # of the thread in which sync code runs
                await sync_to_async(connections.close_all)()

        waited, _ = together(lambda: asyncio.run(wait()), drain)

        assert (waited.state, waited.return_value) == ("SUCCESSFUL", 3)

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_the_end_of_a_job_wakes_who_waits(self, kind, only_postgres, monkeypatch):
        for name in ("SHORTEST", "LONGEST"):  # seconds: looking would find it too late
            monkeypatch.setattr(waiting, name, NEVER)
        result = tasks.add.enqueue(1, 2)

        async def await_result():
            try:
                await result.await_result(PATIENCE)
            finally:
                await sync_to_async(connections.close_all)()

        def is_waited_for():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE state = 'idle'"
                    " AND query = 'LISTEN dbqueue_ended'"
                )
                listens = cursor.fetchall()
            return listens and Job.objects.filter(is_awaited=True).exists()

        def work():
            wait_until(is_waited_for, "somebody listens")
            drain()

        together(
            lambda: (
                result.wait(PATIENCE) if kind == "sync" else asyncio.run(await_result())
            ),
            work,
        )

        assert result.return_value == 3

    def test_a_retried_job_is_waited_for_again(self):
        result = a_job("FAILED")
        result.refresh()
        result.retry()

        with pytest.raises(TimeoutError, match=r"has not ended in 0\.01 s"):
            result.wait(0.01)

    def test_the_end_is_announced_to_who_waits_alone(self):
        if not dialects.of("default").can_notify:
            pytest.skip("nothing is announced on SQLite")
        awaited, other = tasks.noop.enqueue(), tasks.noop.enqueue()
        Job.objects.filter(pk=awaited.id).update(is_awaited=True)
        ear = dialects.of("default").end_listener()
        ear.open()
        try:
            drain()
            heard = set()
            for _ in range(100):
                heard |= ear.received()
                if heard:
                    break
                Event().wait(0.05)
        finally:
            ear.close()

        assert heard == {awaited.id}
        assert FinishedJob.objects.filter(pk=other.id).exists()

    def test_a_job_that_somebody_locks_is_waited_for_no_longer_than_asked(self):
        result, is_locked, is_over = tasks.noop.enqueue(), Event(), Event()

        def lock():
            with transaction.atomic():
                Job.objects.update(priority=1)
                is_locked.set()
                assert is_over.wait(60)

        def wait():
            is_locked.wait()
            with pytest.raises(TimeoutError):
                result.wait(timedelta(milliseconds=50))
            is_over.set()

        together(lock, wait)

    def test_waiting_in_a_transaction_is_refused(self):
        with transaction.atomic():
            result = tasks.noop.enqueue()
            with pytest.raises(CannotWait, match="inside a transaction"):
                result.wait()

    def test_waiting_in_a_job_is_refused_unless_it_is_allowed(self):
        refused = wait_for_another.using(priority=5).enqueue()
        allowed = wait_for_another.using(priority=5).enqueue(allowed=True)
        run_jobs(limit=50)
        refused.refresh()
        allowed.refresh()

        assert refused.errors[0].exception_class_path.endswith(".CannotWait")
        assert allowed.errors[0].exception_class_path.endswith("TimeoutError")

    def test_a_job_that_there_is_not_is_an_error(self):
        result = a_job("FAILED")
        result.discard()

        with pytest.raises(TaskResultDoesNotExist):
            result.wait(1)
