from datetime import timedelta
from functools import partial
from threading import Thread
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbqueue import Unique, aenqueue, enqueue, enqueue_many
from dbqueue.dialects.postgresql.placing import STANDING
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import AlreadyEnqueued, InvalidKey, JobIdTaken
from dbqueue.ids import uuid7
from dbqueue.jobs import insert
from dbqueue.jobs.moves import cancel, retry
from dbqueue.models import FinishedJob, Job, JobState, Throttle
from dbqueue.signals import job_enqueued
from dbqueue.tasks import payload
from dbqueue.tasks.framework import InvalidTask, task_backends
from dbqueue.testing import run_jobs
from tests.support import unique_tasks
from tests.support.processes import wait_until
from tests.support.workers import together

pytestmark = pytest.mark.django_db


def later(rows, **columns):
    """Have moments of rows be `seconds` ago."""
    for name, seconds in columns.items():
        rows.update(**{name: timezone.now() - timedelta(seconds=seconds)})


class Counted:
    """How many statements the block made, beside those that begin and commit."""

    def __enter__(self):
        self._captured = CaptureQueriesContext(connection)
        self._captured.__enter__()
        return self

    def __exit__(self, *error):
        self._captured.__exit__(*error)
        self.statements = [
            query["sql"]
            for query in self._captured
            if query["sql"].split()[0]
            not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
        ]


class TestSkip:
    def test_a_second_job_of_a_key_is_not_enqueued(self):
        first = enqueue(unique_tasks.report, 1, note="a")
        second = enqueue(unique_tasks.report, 1, note="b")
        other = enqueue(unique_tasks.report, 2)

        assert (first.was_enqueued, second.was_enqueued) == (True, False)
        assert other.was_enqueued
        assert second.id == first.id
        assert second.kwargs == {"note": "a"}
        assert second.state == JobState.READY
        assert second.enqueued_at == first.enqueued_at
        assert Job.objects.count() == 2

    @pytest.mark.parametrize("name", ["report", "once_waiting"])
    def test_new_or_not_it_takes_one_statement(self, name):
        for _ in range(2):
            with Counted() as counted:
                enqueue(getattr(unique_tasks, name), 1)
            assert len(counted.statements) == 1

    def test_the_key_is_taken_until_the_end(self, worker):
        first = enqueue(unique_tasks.report, 1)
        (job,) = worker.claim()

        while_it_runs = enqueue(unique_tasks.report, 1)
        worker.finish(job)
        after_it = enqueue(unique_tasks.report, 1)

        assert (while_it_runs.id, while_it_runs.state) == (first.id, JobState.RUNNING)
        assert not while_it_runs.was_enqueued
        assert after_it.was_enqueued

    def test_the_key_is_taken_while_it_waits_for_a_retry(self, worker):
        first = enqueue(unique_tasks.report, 1)
        (job,) = worker.claim()
        worker.release(job, failed=1, delay=60)

        second = enqueue(unique_tasks.report, 1)

        assert (second.id, second.state) == (first.id, JobState.SCHEDULED)

    def test_until_its_start_only_those_that_wait_stand(self, worker):
        enqueue(unique_tasks.once_waiting, 1)
        assert not enqueue(unique_tasks.once_waiting, 1).was_enqueued
        (job,) = worker.claim()

        second = enqueue(unique_tasks.once_waiting, 1)
        worker.release(job, failed=1)  # does not meet the second

        assert second.was_enqueued
        assert not enqueue(unique_tasks.once_waiting, 1).was_enqueued
        assert Job.objects.filter(unique_key=None).get().pk == job.id

    def test_a_result_reads_again_what_became_of_the_other(self):
        enqueue(unique_tasks.report, 1)
        second = enqueue(unique_tasks.report, 1)
        run_jobs()

        second.refresh()

        assert second.return_value == "1"
        assert not second.was_enqueued

    def test_what_is_rolled_back_takes_no_key(self):
        with transaction.atomic():
            enqueue(unique_tasks.report, 1)
            transaction.set_rollback(True)

        assert enqueue(unique_tasks.report, 1).was_enqueued

    def test_no_signal_tells_of_what_was_not_enqueued(self):
        heard = []
        hear = partial(lambda heard, event, **named: heard.append(event.id), heard)
        job_enqueued.connect(hear)
        try:
            for _ in range(2):
                enqueue(unique_tasks.report, 1)
                enqueue_many(unique_tasks.report, [(1,), (2,), (2,)])
        finally:
            job_enqueued.disconnect(hear)

        assert len(heard) == 2

    def test_tasks_may_share_a_key(self):
        first = enqueue(unique_tasks.shared_one, 1)
        second = enqueue(unique_tasks.shared_two, 1)

        assert second.id == first.id
        assert second.task.name == "shared_one"

    def test_a_job_that_its_key_function_leaves_out_is_not_unique(self):
        results = [enqueue(unique_tasks.by_function, None) for _ in range(2)]

        assert all(result.was_enqueued for result in results)

    def test_a_key_that_cannot_be_made_enqueues_nothing(self):
        with pytest.raises(InvalidKey, match="ZeroDivisionError"):
            enqueue(unique_tasks.by_broken_function, 0)
        with pytest.raises(InvalidKey, match=r"Call 2: .*ZeroDivisionError"):
            enqueue_many(unique_tasks.by_broken_function, [(1,), (0,)])

        assert not Job.objects.exists()

    def test_an_instance_may_be_a_key(self):
        user = User.objects.create(username="ada")

        first = enqueue(unique_tasks.for_instance, user)
        second = enqueue(unique_tasks.for_instance, User.objects.get())

        assert second.id == first.id
        assert second.args == [user]

    def test_using_makes_a_job_unique_in_another_way(self):
        unique = Unique(key="number", on_conflict="raise")
        enqueue(unique_tasks.report, 1)

        with pytest.raises(AlreadyEnqueued):
            enqueue(unique_tasks.report.using(unique=unique), 1)

    @pytest.mark.django_db(transaction=True)
    def test_a_job_of_async_code_is_unique(self):
        from asgiref.sync import async_to_sync

        ask = async_to_sync(aenqueue)

        assert ask(unique_tasks.report, 1).was_enqueued
        assert not ask(unique_tasks.report, 1).was_enqueued

    def test_values_that_were_damaged_hide_no_other_job(self):
        enqueue(unique_tasks.report, 1)
        Job.objects.update(attempt_log="what is this", state="STRANGE")

        with pytest.raises(KeyError):  # as of any result: there is no such state
            enqueue(unique_tasks.report, 1)
        assert enqueue(unique_tasks.report, 2).was_enqueued


class TestChosenIds:
    def test_an_id_and_a_key_are_both_unique(self):
        chosen = uuid7()
        first = enqueue(unique_tasks.report.using(job_id=chosen), 1)

        by_id = enqueue(unique_tasks.report.using(job_id=chosen), 2)
        by_key = enqueue(unique_tasks.report.using(job_id=uuid7()), 1)

        assert first.was_enqueued
        assert {first.id, by_id.id, by_key.id} == {str(chosen)}
        assert not by_id.was_enqueued
        assert not by_key.was_enqueued

    @pytest.mark.parametrize("name", ["report", "latest", "throttled", "cooled"])
    def test_an_id_that_has_ended_is_not_run_again(self, name):
        declared = getattr(unique_tasks, name).using(job_id=uuid7())
        first = enqueue(declared, 1)
        run_jobs()

        again = enqueue(declared, 2)

        assert (again.id, again.was_enqueued) == (first.id, False)
        assert again.state == JobState.SUCCESSFUL
        assert not Job.objects.exists()

    @pytest.mark.parametrize("name", ["report", "latest", "throttled", "cooled"])
    def test_an_id_of_another_task_is_refused(self, name):
        chosen = uuid7()
        enqueue(unique_tasks.strict.using(job_id=chosen), 1)

        with pytest.raises(JobIdTaken):
            enqueue(getattr(unique_tasks, name).using(job_id=chosen), 2)

    def test_a_job_without_a_key_may_have_an_id(self):
        chosen = unique_tasks.by_function.using(job_id=uuid7())

        assert enqueue(chosen, None).was_enqueued
        assert not enqueue(chosen, None).was_enqueued

    def test_the_id_of_a_plain_job_says_who_enqueued_it(self):
        chosen = unique_tasks.renamed.using(job_id=uuid7())

        assert enqueue(chosen, 1).was_enqueued
        assert not enqueue(chosen, 1).was_enqueued


class TestRaise:
    @pytest.mark.parametrize("name", ["strict", "strict_waiting", "strict_throttled"])
    def test_the_one_that_stands_is_in_the_error(self, name):
        declared = getattr(unique_tasks, name)
        first = enqueue(declared, 1)

        with pytest.raises(AlreadyEnqueued, match=first.id) as caught:
            enqueue(declared, 1)

        assert caught.value.result.id == first.id
        assert enqueue(declared, 2).was_enqueued  # the transaction is not broken

    def test_of_many_nothing_is_written(self):
        enqueue(unique_tasks.strict, 2)

        with pytest.raises(AlreadyEnqueued):
            enqueue_many(unique_tasks.strict, [(1,), (2,), (3,)])
        with pytest.raises(AlreadyEnqueued, match=r"Call 2 .* call 1"):
            enqueue_many(unique_tasks.strict, [(1,), (1,)])

        assert Job.objects.count() == 1


class TestReplace:
    def test_one_that_waits_gets_the_new_arguments_and_moment(self):
        first = enqueue(unique_tasks.latest.using(priority=1), 1, note="a")
        soon = unique_tasks.latest.using(
            run_after=timedelta(hours=1), priority=7, expires=7200
        )
        with Counted() as counted:
            second = enqueue(soon, 1, note="b")

        job = Job.objects.get()
        assert len(counted.statements) == 1
        assert (second.id, second.was_enqueued) == (first.id, False)
        assert (second.kwargs, second.task.priority) == ({"note": "b"}, 7)
        assert (job.kwargs, job.priority, job.state) == ({"note": "b"}, 7, "SCHEDULED")
        assert job.enqueued_at == first.enqueued_at
        assert job.run_after > job.enqueued_at
        assert job.expires_at > job.run_after

    def test_a_moment_that_is_no_more_given_is_over(self):
        enqueue(unique_tasks.latest.using(run_after=timedelta(hours=1)), 1)

        second = enqueue(unique_tasks.latest, 1)

        assert (second.state, second.task.run_after) == (JobState.READY, None)

    def test_one_that_runs_is_not_replaced(self, worker):
        enqueue(unique_tasks.latest, 1, note="a")
        (job,) = worker.claim()

        second = enqueue(unique_tasks.latest, 1, note="b")
        third = enqueue(unique_tasks.latest, 1, note="c")
        worker.finish(job)

        assert second.was_enqueued
        assert third.id == second.id
        assert [r.return_value for r in run_jobs()] == ["c"]

    def test_of_many_the_last_of_a_key_counts(self):
        enqueue(unique_tasks.latest, 1, note="old")

        results = enqueue_many(
            unique_tasks.latest,
            [{"number": n, "note": note} for n, note in [(1, "a"), (2, "b"), (1, "c")]],
        )

        assert [result.was_enqueued for result in results] == [False, True, False]
        assert results[0].id == results[2].id
        assert sorted(r.return_value for r in run_jobs()) == ["b", "c"]


class TestDebounce:
    def test_it_waits_from_the_last_enqueue_on(self):
        first = enqueue(unique_tasks.debounced, 1, note="a")
        later(Job.objects, run_after=-20)

        second = enqueue(unique_tasks.debounced, 1, note="b")

        wait = (Job.objects.get().run_after - timezone.now()).total_seconds()
        assert first.state == JobState.SCHEDULED
        assert (second.id, second.kwargs) == (first.id, {"note": "b"})
        assert 25 < wait <= 30

    def test_it_waits_no_longer_than_max_wait(self):
        enqueue(unique_tasks.debounced, 1)
        later(Job.objects, enqueued_at=50)

        second = enqueue(unique_tasks.debounced, 1)

        job = Job.objects.get()
        wait = (job.run_after - job.enqueued_at).total_seconds()
        assert wait == pytest.approx(60, abs=0.002)
        assert second.task.run_after == job.run_after

    def test_past_max_wait_it_is_ready(self):
        enqueue(unique_tasks.debounced, 1)
        later(Job.objects, enqueued_at=70)

        assert enqueue(unique_tasks.debounced, 1).state == JobState.READY

    def test_a_moment_of_its_own_is_refused(self):
        with pytest.raises(InvalidTask, match="without run_after"):
            unique_tasks.debounced.using(run_after=timedelta(1))

    def test_run_jobs_goes_on_in_time_to_it(self):
        enqueue(unique_tasks.debounced, 1, note="a")

        assert run_jobs() == []
        (result,) = run_jobs(until=timedelta(minutes=1))
        assert result.return_value == "a"


class TestThrottle:
    def test_one_is_enqueued_in_a_period_whatever_becomes_of_it(self):
        first = enqueue(unique_tasks.throttled, 1)
        waiting = enqueue(unique_tasks.throttled, 1)
        run_jobs()
        ended = enqueue(unique_tasks.throttled, 1)
        later(Throttle.objects, expires_at=1)
        next_period = enqueue(unique_tasks.throttled, 1)
        again = enqueue(unique_tasks.throttled, 1)

        assert {first.id, waiting.id, ended.id} == {first.id}
        assert (waiting.state, ended.state) == (JobState.READY, JobState.SUCCESSFUL)
        assert ended.return_value == 1
        assert next_period.was_enqueued
        assert again.id == next_period.id
        assert enqueue(unique_tasks.throttled, 2).was_enqueued

    def test_it_takes_one_statement_and_two_on_sqlite(self):
        for _ in range(2):
            with Counted() as counted:
                enqueue(unique_tasks.throttled, 1)
            expected = 2 if connection.vendor == "sqlite" else 1
            assert len(counted.statements) == expected

    def test_the_next_period_may_begin_while_the_first_job_waits(self):
        enqueue(unique_tasks.throttled, 1)
        later(Throttle.objects, expires_at=1)

        assert enqueue(unique_tasks.throttled, 1).was_enqueued
        assert Job.objects.count() == 2

    def test_what_is_rolled_back_uses_up_no_period(self):
        with transaction.atomic():
            enqueue(unique_tasks.throttled, 1)
            transaction.set_rollback(True)

        assert enqueue(unique_tasks.throttled, 1).was_enqueued

    def test_the_job_may_have_been_pruned(self):
        first = enqueue(unique_tasks.throttled, 1)
        Job.objects.all().delete()

        second = enqueue(unique_tasks.throttled, 1)

        assert (second.id, second.was_enqueued) == (first.id, False)

    def test_of_many_each_key_is_throttled(self):
        enqueue(unique_tasks.throttled, 1)

        results = enqueue_many(unique_tasks.throttled, [(1,), (2,), (2,)])

        assert [result.was_enqueued for result in results] == [False, True, False]
        assert Job.objects.count() == Throttle.objects.count() == 2


class TestCooldown:
    def test_none_is_enqueued_for_a_time_after_the_end(self):
        first = enqueue(unique_tasks.cooled, 1)
        waiting = enqueue(unique_tasks.cooled, 1)
        run_jobs()
        ended = enqueue(unique_tasks.cooled, 1)
        later(FinishedJob.objects, finished_at=61)
        after_it = enqueue(unique_tasks.cooled, 1)

        assert {first.id, waiting.id, ended.id} == {first.id}
        assert (ended.state, ended.was_enqueued) == (JobState.SUCCESSFUL, False)
        assert after_it.was_enqueued

    def test_a_failure_counts_and_a_cancel_does_not(self, worker):
        for number, state in enumerate((JobState.FAILED, JobState.CANCELLED)):
            enqueue(unique_tasks.cooled, number)
            (job,) = worker.claim()
            worker.finish(job, state=state)

        assert not enqueue(unique_tasks.cooled, 0).was_enqueued
        assert enqueue(unique_tasks.cooled, 1).was_enqueued

    def test_of_many_each_key_has_its_own(self):
        enqueue_many(unique_tasks.cooled, [(1,), (2,)])
        run_jobs()
        later(FinishedJob.objects.filter(args=[1]), finished_at=61)

        results = enqueue_many(unique_tasks.cooled, [(1,), (2,), (3,), (3,)])

        assert [r.was_enqueued for r in results] == [True, False, True, False]
        assert results[1].state == JobState.SUCCESSFUL

    def test_an_end_during_the_enqueue_counts(self, worker, only_postgres):
        dialect = worker.dialect
        enqueue(unique_tasks.cooled, 1)
        (job,) = worker.claim()
        worker.finish(job)
        new = enqueue(unique_tasks.report, 1)  # as if it had not seen that end
        key = FinishedJob.objects.get().unique_key
        Job.objects.filter(pk=new.id).update(unique_key=key)

        from dbqueue.jobs.rules import rule_of

        declared = unique_tasks.cooled
        rule = rule_of(declared, declared.unique)
        assert dialect._too_soon([new.id], rule) == {key}
        assert not Job.objects.exists()


class TestInserts:
    @pytest.mark.parametrize("name", ["report", "debounced", "throttled", "cooled"])
    def test_whoever_inserts_a_job_meets_the_key_as_the_ticks_of_schedules_do(
        self, name
    ):
        declared, backend = getattr(unique_tasks, name), task_backends["default"]

        def insert():
            call = payload.call(declared, [1], {})
            return backend.dialect.insert(backend.job_of(declared, call), once=True)

        assert insert() is not None
        assert insert() is None
        job = Job.objects.get()
        assert (job.state == JobState.SCHEDULED) == (name == "debounced")
        assert job.unique_until == {"debounced": "S", "throttled": None}.get(name, "F")

    def test_one_without_a_key_is_inserted_as_any_other(self):
        declared, backend = unique_tasks.by_function, task_backends["default"]
        call = payload.call(declared, [None], {})

        for _ in range(2):
            backend.dialect.insert(backend.job_of(declared, call))

        assert Job.objects.filter(unique_key=None).count() == 2


class TestMany:
    def test_some_stand_and_some_are_new(self):
        first = enqueue(unique_tasks.report, 2)

        results = enqueue_many(unique_tasks.report, [(1,), (2,), (3,), (1,)])

        assert [r.was_enqueued for r in results] == [True, False, True, False]
        assert results[1].id == first.id
        assert results[3].id == results[0].id
        assert [r.args for r in results] == [[1], [2], [3], [1]]
        assert Job.objects.count() == 3

    def test_some_may_have_no_key(self):
        results = enqueue_many(unique_tasks.by_function, [(None,), (None,), (1, "x")])

        assert all(result.was_enqueued for result in results)
        assert Job.objects.exclude(unique_key=None).count() == 1

    def test_none_at_all_is_no_statement_too_many(self):
        assert list(enqueue_many(unique_tasks.report, [])) == []

    def test_a_long_list_runs_in_the_order_of_its_calls(self, worker, monkeypatch):
        monkeypatch.setattr(insert, "CHUNK", 2)

        results = list(enqueue_many(unique_tasks.report, [(n,) for n in range(9)]))

        assert len({result.enqueued_at for result in results}) == 1
        assert set(Job.objects.values_list("enqueued_at")) == {
            (results[0].enqueued_at,)
        }
        assert [job.id for job in worker.claim(9)] == [UUID(r.id) for r in results]

    def test_a_long_list_is_written_and_found_again(self):
        calls = [(number,) for number in range(3000)]

        new = enqueue_many(unique_tasks.report, calls)
        old = enqueue_many(unique_tasks.report, calls)

        assert new[2999].was_enqueued
        assert not old[2999].was_enqueued
        assert Job.objects.count() == 3000


class TestMoves:
    def test_a_cancelled_job_gives_up_its_key(self):
        first = enqueue(unique_tasks.report, 1)
        cancel("default", [Job.objects.get().pk])

        assert enqueue(unique_tasks.report, 1).id != first.id

    def test_a_job_that_is_retried_has_its_key_again(self):
        first = enqueue(unique_tasks.report, 1)
        run_jobs()

        retry("default", [FinishedJob.objects.get().pk])

        assert enqueue(unique_tasks.report, 1).id == first.id

    def test_a_retry_of_one_whose_key_is_taken_is_skipped_and_says_so(self):
        enqueue(unique_tasks.report, 1)
        run_jobs()
        old = FinishedJob.objects.get().pk
        enqueue(unique_tasks.report, 1)

        moved = retry("default", [old])

        assert not moved
        assert moved.skipped == {"unique": 1}
        assert Job.objects.count() == FinishedJob.objects.count() == 1

    def test_of_two_with_a_key_one_is_retried(self):
        for _ in range(2):
            enqueue(unique_tasks.report, 1)
            run_jobs()

        moved = retry("default", FinishedJob.objects.values_list("pk", flat=True))

        assert (moved.done, moved.skipped) == (1, {"unique": 1})

    def test_one_that_was_unique_until_its_start_has_no_key_again(self):
        enqueue(unique_tasks.once_waiting, 1)
        run_jobs()
        enqueue(unique_tasks.once_waiting, 1)

        moved = retry("default", [FinishedJob.objects.get().pk])

        assert moved.done == 1
        assert Job.objects.filter(unique_key=None).count() == 1

    def test_a_retry_with_other_arguments_may_stand_already(self):
        enqueue(unique_tasks.report, 1)
        (result,) = run_jobs()
        enqueue(unique_tasks.report, 2)

        moved = result.retry(args=[2])

        assert (moved.done, moved.skipped) == (0, {"unique": 1})
        assert Job.objects.get().retry_of is None


@pytest.mark.django_db(transaction=True)
class TestTogether:
    @pytest.mark.parametrize(
        "name", ["report", "once_waiting", "latest", "throttled", "cooled", "debounced"]
    )
    def test_of_those_who_enqueue_a_key_at_once_one_writes(self, name):
        declared = getattr(unique_tasks, name)

        def ask():
            return [enqueue(declared, number) for number in range(10)]

        answers = together(*[ask] * 4)

        for number in range(10):
            of_one = [answer[number] for answer in answers]
            assert len({result.id for result in of_one}) == 1
            assert sum(result.was_enqueued for result in of_one) == 1
        assert Job.objects.count() == 10

    @pytest.mark.parametrize("name", ["report", "latest", "throttled", "cooled"])
    def test_two_lists_of_the_same_keys_do_not_wait_for_each_other(
        self, name, monkeypatch
    ):
        monkeypatch.setattr(insert, "CHUNK", 50)
        declared = getattr(unique_tasks, name)
        calls = [(number,) for number in range(200)]

        def ask(calls):
            results = enqueue_many(declared, calls)
            return sum(result.was_enqueued for result in results)

        new = together(*[partial(ask, calls), partial(ask, calls[::-1])] * 2)

        assert sum(new) == 200
        assert Job.objects.count() == 200

    def test_two_retries_of_the_same_keys_do_not_wait_for_each_other(self, worker):
        finished, calls = [], [(number,) for number in range(300)]
        for some in (calls, calls[::-1]):
            enqueue_many(unique_tasks.report, some)
            jobs = worker.claim(300)
            worker.finish_all(jobs)
            finished.append([job.id for job in jobs])

        moved = together(*[partial(retry, "default", ids) for ids in finished])

        assert sum(some.done for some in moved) == 300
        assert Job.objects.count() == FinishedJob.objects.count() == 300

    @pytest.mark.usefixtures("only_postgres")
    def test_two_lists_do_not_wait_for_each_other_when_a_job_ends_between(self):
        """The first has all but the key of that job; the second has that one first."""
        declared, numbers = unique_tasks.report, range(1, 4)
        lowest, ended, highest = sorted(
            numbers, key=lambda number: declared.unique.key_of(declared, [number], {})
        )
        enqueue(declared, ended)
        others = []

        def other():
            Job.objects.filter(args=[ended]).delete()
            return list(enqueue_many(declared, [(ended,), (highest,)]))

        def between(execute, sql, *rest):
            if sql == STANDING and not others:
                others.append(Thread(target=together, args=[other]))
                others[0].start()
                wait_until(is_anybody_waiting, "the other list waits for ours")
            return execute(sql, *rest)

        def is_anybody_waiting():
            waiting = "SELECT FROM pg_locks WHERE NOT granted"
            return connection.connection.execute(waiting).fetchall()

        with connection.execute_wrapper(between):
            results = list(enqueue_many(declared, [(number,) for number in numbers]))
        others[0].join()

        assert [r.args[0] for r in results if r.was_enqueued] == [lowest]
        assert Job.objects.count() == 3

    def test_an_outcome_meets_no_key(self, worker):
        """One that began under a key comes back while another has it."""
        enqueue(unique_tasks.latest, 1)
        (job,) = worker.claim()
        enqueue(unique_tasks.latest, 1)

        back = Outcome(id=job.id, attempt=job.attempt, state="READY", delay=0.0)

        assert worker.dialect.record(worker.id, [back]) == {job.id}
