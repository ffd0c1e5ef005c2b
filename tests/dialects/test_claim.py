import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from dbqueue import dialects, enqueue_many
from dbqueue.dialects import scan as scanning
from dbqueue.dialects.loading import loaded
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import MOST_UNKNOWN, RESCAN, RESCAN_SHARE, Scan
from dbqueue.exceptions import TaskNotFound
from dbqueue.maintenance.rescue import held_by, rescue
from dbqueue.models import FinishedJob, Job, JobState, Worker
from dbqueue.testing import run_jobs
from dbqueue.worker.loop.dispatch import not_run
from tests import tasks
from tests.support.processes import wait_until
from tests.support.workers import HandWorker, together

EXTRA = 0.03  # seconds that a look takes longer

pytestmark = pytest.mark.django_db
with_transactions = pytest.mark.django_db(transaction=True)


def put(*names, queue="default", priority=0):
    """Enqueue one job for each name."""
    task = tasks.echo.using(queue_name=queue, priority=priority)
    return enqueue_many(task, [(name,) for name in names])


def names(jobs):
    return [job.args[2:-2] for job in jobs]


class TestAClaim:
    def test_a_claim_marks_the_job_as_running(self, worker):
        (result,) = put("a")

        (job,) = worker.claim()

        row = Job.objects.get()
        assert str(row.pk) == str(job.id) == result.id
        assert (row.state, row.worker_id, row.attempt) == ("RUNNING", worker.id, 1)
        assert row.started_at == row.last_attempted_at >= row.enqueued_at
        assert (job.attempt, job.args) == (1, '["a"]')

    def test_a_claim_of_nothing_is_nothing(self, worker):
        assert worker.claim(10) == []

    def test_a_claim_takes_the_oldest_first(self, worker):
        put("a", "b", "c")

        assert names(worker.claim(2)) == ["a", "b"]
        assert names(worker.claim(2)) == ["c"]

    def test_a_claim_takes_higher_priorities_first(self, worker):
        put("low", priority=-5)
        put("normal 1", "normal 2")
        put("high", priority=100)

        assert names(worker.claim(10)) == ["high", "normal 1", "normal 2", "low"]

    @pytest.mark.parametrize("id", [UUID(int=0), UUID(int=2**128 - 1)])
    def test_a_claim_takes_the_oldest_first_whatever_their_ids(self, worker, id):
        put("a")
        tasks.echo.using(job_id=id).enqueue("b")
        put("c")

        assert names(worker.claim(3)) == ["a", "b", "c"]

    def test_a_claim_takes_jobs_of_one_statement_in_the_order_of_the_call(self, worker):
        put(*map(str, range(100)))

        claimed = [name for _ in range(10) for name in names(worker.claim(10))]

        assert claimed == [str(i) for i in range(100)]

    def test_a_claim_takes_a_job_that_was_given_back_in_its_old_place(self, worker):
        put("a", "b")
        (first,) = worker.claim()
        worker.release(first)

        assert names(HandWorker().claim(2)) == ["a", "b"]

    def test_a_claim_takes_no_job_twice(self, worker):
        put("a")
        worker.claim()

        assert worker.claim() == []
        assert HandWorker().claim() == []

    def test_a_claim_leaves_jobs_that_wait_for_their_time(self, worker):
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()

        assert worker.claim() == []

    def test_a_claim_keeps_the_moment_of_the_first_start(self, worker):
        put("a")
        (first,) = worker.claim()
        worker.release(first)

        (second,) = worker.claim()

        assert second.attempt == 2
        assert second.started_at == first.started_at
        assert second.last_attempted_at > first.last_attempted_at


@pytest.fixture
def second():
    """Return a job under a chosen id that has ended, enqueued by who did not see it."""
    task = tasks.echo.using(job_id=uuid4())
    task.enqueue("first")
    run_jobs()
    history = list(FinishedJob.objects.all())
    FinishedJob.objects.all().delete()
    task.enqueue("second")
    FinishedJob.objects.bulk_create(history)
    return Job.objects.get()


class TestAChosenId:
    def test_a_chosen_id_that_has_ended_is_removed_by_its_claim(self, worker, second):
        put("a")

        assert names(worker.claim(2)) == ["a"]

        assert not Job.objects.filter(pk=second.pk).exists()
        assert FinishedJob.objects.get().args == ["first"]

    def test_a_chosen_id_that_has_ended_keeps_no_other_job_waiting(
        self, worker, second
    ):
        put("a")

        assert worker.claim(1) == []

        assert worker.scan.more
        assert names(worker.claim(1)) == ["a"]

    @pytest.mark.parametrize("reason", ["lost", "released"])
    def test_a_chosen_id_that_has_ended_is_removed_by_its_rescuer(
        self, reason, worker, second, caplog
    ):
        Job.objects.update(state="RUNNING", worker_id=worker.id, attempt=1)

        assert rescue("default", held_by("default", worker.id), reason=reason) == 1

        assert not Job.objects.exists()
        assert FinishedJob.objects.get().args == ["first"]
        assert "rescued" not in caplog.text

    def test_a_chosen_id_that_is_new_is_claimed_as_any_other(self, worker):
        tasks.echo.using(job_id=uuid4()).enqueue("a")

        assert names(worker.claim(2)) == ["a"]

    def test_a_second_outcome_is_not_dropped_without_a_word(
        self, worker, second, caplog
    ):
        """As of a job that a worker of before claimed, or under an id of version 7."""
        Job.objects.update(once=None)
        (job,) = worker.claim()

        assert worker.finish(job, result='"second"')

        assert "second outcome was dropped" in caplog.text
        assert str(job.id) in caplog.text
        assert FinishedJob.objects.get().args == ["first"]
        assert not Job.objects.exists()


class TestAWorkerWithoutARow:
    def test_a_worker_without_a_row_claims_nothing(self, worker):
        put("a")
        Worker.objects.all().delete()

        assert worker.claim() == []
        assert Job.objects.get().state == JobState.READY


class TestSeveralQueues:
    def test_queues_are_emptied_in_their_order_whatever_the_priority(self):
        put("b", queue="second", priority=100)
        put("a", queue="first", priority=-100)
        worker = HandWorker("first", "second")

        assert names(worker.claim(2)) == ["a", "b"]

    def test_queues_share_one_claim(self):
        put("a1", "a2", queue="a")
        put("b1", "b2", queue="b")

        assert names(HandWorker("a", "b").claim(3)) == ["a1", "a2", "b1"]

    def test_queues_that_are_not_served_are_left(self):
        put("a", queue="a")
        put("b", queue="b")

        assert names(HandWorker("b").claim(10)) == ["b"]

    def test_queues_may_be_named_by_a_pattern(self):
        put("a", queue="mail-out")
        put("b", queue="mail-in")
        put("c", queue="email")

        assert sorted(names(HandWorker("mail-*").claim(10))) == ["a", "b"]

    def test_a_star_serves_all_queues(self):
        put("a", queue="x")
        put("b", queue="y.z/é %s '")

        assert sorted(names(HandWorker("*").claim(10))) == ["a", "b"]

    def test_queues_may_be_left_out(self):
        put("a", queue="a")
        put("slow", queue="slow-1")
        worker = HandWorker("*", exclude=["slow-*"])

        assert names(worker.claim(10)) == ["a"]

    def test_queues_may_be_left_out_by_name_although_they_are_served(self):
        put("a", queue="a")
        put("b", queue="b")

        assert names(HandWorker("a", "b", exclude=["a"]).claim(10)) == ["b"]

    def test_queues_of_one_group_give_their_best_priority_first(self):
        put("a low", queue="a", priority=1)
        put("b high", queue="b", priority=9)
        put("a high", queue="a", priority=9)
        put("b low", queue="b", priority=1)

        worker = HandWorker("*")
        claimed = [name for _ in range(4) for name in names(worker.claim(1))]

        assert claimed == ["b high", "a high", "a low", "b low"]

    def test_queues_of_one_group_do_not_give_low_priorities_for_want_of_high_ones(self):
        put("a high", queue="a", priority=9)
        put("a low", queue="a", priority=1)
        put("b middle", queue="b", priority=5)

        claimed = names(HandWorker("*").claim(10))

        assert claimed[0] == "a high"
        assert "a low" not in claimed[: claimed.index("b middle")]

    def test_queues_of_one_group_give_a_job_whose_id_is_nil(self):
        nil = UUID(int=0)
        tasks.echo.using(queue_name="a", job_id=nil).enqueue("nil")
        put("b", queue="b")

        assert HandWorker("*").claim()[0].id == nil

    def test_queues_ahead_of_a_pattern_are_emptied_first(self):
        put("x", queue="x", priority=50)
        put("vip", queue="vip")

        assert names(HandWorker("vip", "*").claim(1)) == ["vip"]


class TestNews:
    def test_news_of_one_queue_leads_straight_to_it(self):
        worker = HandWorker()
        assert not worker.claim()
        put("urgent", queue="b", priority=9)
        put("a", queue="a")
        worker.scan.expect({"a"})

        assert names(worker.claim(5)) == ["a"]
        assert names(worker.claim(5)) == ["urgent"]

    def test_news_of_what_others_have_taken_leads_to_all_there_is(self):
        worker = HandWorker()
        assert not worker.claim()
        put("a", queue="a")
        put("urgent", queue="b", priority=9)
        worker.scan.expect({"c"})

        assert names(worker.claim(5)) == ["urgent", "a"]

    @pytest.mark.parametrize("news", [{"a", "b"}, {""}, {"a", ""}])
    def test_news_of_more_than_one_queue_tells_nothing(self, news):
        scan = Scan([["*"]])
        scan.took([], exhausted=True)
        scan.expect(news)

        assert scan.expected() == []

    @pytest.mark.parametrize("scan", [Scan([["b"], ["*"]]), Scan([["*"]], ["b"])])
    def test_news_tells_nothing_where_not_all_queues_are_served_alike(self, scan):
        scan.took([], exhausted=True)
        scan.expect({"a"})

        assert scan.expected() == []

    def test_news_tells_nothing_while_there_is_more(self):
        scan = Scan([["*"]])
        scan.took([], exhausted=False)
        scan.expect({"a"})

        assert scan.expected() == []


@pytest.mark.usefixtures("only_postgres")
class TestTheLowWaterMark:
    def test_the_low_water_mark_lets_the_next_claim_go_on_where_the_last_one_ended(
        self, worker
    ):
        put("a", "b", "c", "d")
        (a, b) = worker.claim(2)
        worker.release(a)

        assert names(worker.claim(1)) == ["c"]
        assert names([b]) == ["b"]

    def test_the_low_water_mark_is_forgotten_when_a_claim_finds_too_little(
        self, worker
    ):
        put("a", "b", "c")
        (a, _) = worker.claim(2)
        worker.release(a)

        assert sorted(names(worker.claim(5))) == ["a", "c"]

    def test_the_low_water_mark_hides_a_higher_priority_no_longer_than_the_rescan(
        self, worker
    ):
        put("a", "b", "c")
        worker.claim(1)
        put("urgent", priority=9)
        began = time.monotonic()

        claimed, late = [], 0
        while "urgent" not in claimed:
            late += time.monotonic() - began > RESCAN
            (job,) = worker.claim(1)
            claimed += names([job])
            worker.release(job)

        assert late <= 1  # the first claim after it

    def test_the_low_water_mark_is_kept_for_each_queue(self):
        put("a1", "a2", queue="a")
        put("b1", "b2", queue="b")
        worker = HandWorker("a", "b")

        claimed = [name for _ in range(4) for name in names(worker.claim(1))]

        assert claimed == ["a1", "a2", "b1", "b2"]


class TestTheFence:
    @pytest.fixture
    def job(self, worker):
        put("a")
        (job,) = worker.claim()
        return job

    @pytest.fixture
    def untouched(self):
        """Return a function that tells whether the running row is as it was."""

        def look():
            return Job.objects.values("state", "attempt", "worker_id", "progress")

        before = []

        def untouched():
            if not before:
                before.append(list(look()))
            return list(look()) == before[0] and not FinishedJob.objects.exists()

        return untouched

    @pytest.mark.parametrize("move", ["finish", "release"])
    def test_the_fence_stops_another_worker(self, job, untouched, move):
        assert untouched()

        assert getattr(HandWorker(), move)(job) is False
        assert untouched()

    @pytest.mark.parametrize("move", ["finish", "release"])
    def test_the_fence_stops_an_earlier_attempt_of_the_same_worker(
        self, worker, job, move
    ):
        worker.release(job)
        (again,) = worker.claim()

        assert getattr(worker, move)(job) is False
        assert Job.objects.get().attempt == again.attempt == 2

    @pytest.mark.parametrize("move", ["finish", "release"])
    def test_the_fence_stops_what_has_finished(self, worker, job, move):
        assert worker.finish(job, result='"first"') is True

        assert getattr(worker, move)(job) is False
        assert FinishedJob.objects.get().result == "first"
        assert not Job.objects.exists()

    def test_an_outcome_stays_what_it_is_when_the_fence_stops_it(self, worker, job):
        outcome = Outcome(id=job.id, attempt=1, state="READY", delay=60)
        assert not worker.dialect.record(HandWorker().id, [outcome])

        assert worker.dialect.record(worker.id, [outcome]) == {job.id}

        assert Job.objects.get().state == JobState.SCHEDULED

    def test_the_fence_stops_progress_of_others(self, worker, job, untouched):
        assert untouched()

        HandWorker().note_progress(job, '{"value": 1}')
        worker.note_progress(replace(job, attempt=7), '{"value": 1}')

        assert untouched()

    def test_the_fence_lets_progress_of_the_holder_through(self, worker, job):
        worker.note_progress(job, '{"value": 1}')

        assert Job.objects.get().progress == {"value": 1}

    def test_the_fence_tells_apart_the_jobs_of_one_batch(self, worker, job):
        put("b", "c")
        b, c = worker.claim(2)
        outcomes = [
            Outcome(id=job.id, attempt=9, state="SUCCESSFUL", result="1"),
            Outcome(id=b.id, attempt=1, state="SUCCESSFUL", result="2"),
            Outcome(id=c.id, attempt=1, state="READY"),
        ]

        assert worker.dialect.record(worker.id, outcomes) == {b.id, c.id}
        states = {str(row.pk): row.state for row in Job.objects.all()}
        assert states == {str(job.id): "RUNNING", str(c.id): "READY"}
        assert FinishedJob.objects.get().pk == b.id


class TestAFinish:
    def test_a_finish_moves_the_job_to_the_history(self, worker):
        put("a", queue="mail", priority=3)
        (job,) = worker.claim()

        assert worker.finish(job, result='{"x": 1}', duration=1.5) is True

        record = FinishedJob.objects.get()
        assert record.pk == job.id
        assert (record.state, record.result) == ("SUCCESSFUL", {"x": 1})
        assert (record.queue_name, record.priority) == ("mail", 3)
        assert (record.attempt, record.worker_id) == (1, worker.id)
        assert record.duration == 1.5
        assert record.finished_at >= record.started_at
        assert not Job.objects.exists()

    def test_a_finish_and_the_next_claim_are_one_commit(self, worker):
        put("a", "b")
        (a,) = worker.claim()
        done = Outcome(id=a.id, attempt=1, state="SUCCESSFUL", result="null")

        settled, (b,) = worker.dialect.finish_and_claim(
            worker.id, [done], worker.scan, 1
        )

        assert settled == {a.id}
        assert names([b]) == ["b"]


class TestLargeColumns:
    @pytest.mark.parametrize("column", ["args", "attempt_log"])
    def test_large_columns_come_with_the_claim(self, worker, column):
        put("a")
        Job.objects.update(**{column: ["x" * 20_000]})

        (job,) = worker.claim()

        assert getattr(job, column) == json.dumps(["x" * 20_000])

    @pytest.mark.parametrize("column", ["args", "attempt_log"])
    def test_large_columns_of_a_job_that_others_have_taken_meanwhile_do_not_come(
        self, worker, column
    ):
        put("a")
        (job,) = worker.claim()
        setattr(job, column, None)  # as it is until it is loaded

        assert loaded(worker.dialect, HandWorker().id, [job]) == []


class TestGivingBack:
    def test_giving_a_job_back_makes_it_ready(self, worker):
        put("a")
        (job,) = worker.claim()

        assert worker.release(job, failed=1, record={"worker": "w"}) is True

        row = Job.objects.get()
        assert (row.state, row.worker_id, row.failures) == ("READY", None, 1)
        assert row.attempt_log == [{"worker": "w"}]

    def test_giving_a_job_back_with_a_delay_schedules_it(self, worker):
        put("a")
        (job,) = worker.claim()

        worker.release(job, delay=60)

        row = Job.objects.get()
        assert row.state == JobState.SCHEDULED
        wait = (row.run_after - row.last_attempted_at).total_seconds()
        assert 60 <= wait < 90


@with_transactions
class TestWorkersAtOnce:
    def test_workers_at_once_never_claim_the_same_job(self):
        put(*map(str, range(200)))
        workers = [HandWorker() for _ in range(4)]

        def claim_all(worker):
            claimed = []
            while jobs := worker.claim(7):
                claimed += jobs
            return claimed

        shares = together(*[lambda w=w: claim_all(w) for w in workers])

        claimed = [job.id for share in shares for job in share]
        assert len(claimed) == len(set(claimed)) == 200
        for worker, share in zip(workers, shares, strict=True):
            held = Job.objects.filter(worker_id=worker.id).count()
            assert held == len(share)

    def test_workers_at_once_pass_over_what_another_is_claiming(self, only_postgres):
        put(*map(str, range(10)))
        first, second = HandWorker(), HandWorker()

        def claim():
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '5s'")
            return names(second.claim(5))

        with transaction.atomic():
            held = names(first.claim(5))
            (others,) = together(claim)

        assert (held, others) == ([*"01234"], [*"56789"])

    @pytest.mark.parametrize("queues", [["*"], ["default"], ["none", "default"]])
    def test_workers_at_once_never_claim_more_than_they_ask_for(self, queues):
        put(*map(str, range(100)))
        workers = [HandWorker(*queues) for _ in range(5)]

        shares = together(*[lambda w=w: w.claim(10) for w in workers])

        assert all(len(share) <= 10 for share in shares)
        running = Job.objects.filter(state=JobState.RUNNING).count()
        assert running == sum(len(share) for share in shares)

    def test_workers_at_once_finish_a_job_once(self, worker):
        put("a")
        (job,) = worker.claim()

        ended = together(*[lambda: worker.finish(job)] * 4)

        assert sorted(ended) == [False, False, False, True]
        assert FinishedJob.objects.count() == 1

    def test_workers_at_once_do_not_claim_what_is_not_committed(self, worker):
        with transaction.atomic():
            put("a")
            assert together(lambda: worker.claim()) == [[]]
            transaction.set_rollback(True)

        assert worker.claim() == []

    def test_workers_at_once_lose_jobs_to_a_rescue_or_finish_them_but_never_both(
        self, worker
    ):
        for _ in range(10):
            put("a")
            (job,) = worker.claim()
            held = held_by("default", worker.id)

            finished, rescued = together(
                lambda job=job: worker.finish(job),
                lambda held=held: rescue("default", held),
            )

            assert [finished, rescued] in ([True, 0], [False, 1])
            Job.objects.all().delete()


class TestUnknownTasks:
    """What a worker could not import, it leaves to others."""

    @pytest.fixture
    def unknown(self):
        """Return the path of a task that has jobs before all others, in two queues."""
        path = 'not.there, "so" {it} is left'
        for queue in ("a", "b"):
            put("unknown", queue=queue, priority=9)
        Job.objects.update(task=path)
        return path

    @pytest.mark.parametrize("queues", [["*"], ["a"], ["a", "b"]], ids=",".join)
    def test_jobs_behind_those_of_an_unknown_task_are_claimed(self, queues, unknown):
        put("1", queue="a")
        worker = HandWorker(*queues)
        worker.scan.unknown.add(unknown, "a")

        assert names(worker.claim(1)) == ["1"]
        put("2", "3", queue="a")  # one by the low-water mark, the other without
        assert names(worker.claim(1)) == ["2"]
        assert names(worker.claim(2)) == ["3"]
        assert worker.claim(1) == []
        assert not worker.scan.more

    def test_jobs_of_a_queue_with_nothing_else_are_left(self, unknown):
        worker = HandWorker()
        worker.scan.unknown.add(unknown, "a")

        assert worker.claim(2) == []

        assert not worker.scan.more
        assert worker.dialect.queue_heads([unknown]) == []
        assert len(HandWorker().claim(2)) == 2

    def test_jobs_of_an_unknown_task_are_tried_again_after_a_while(
        self, unknown, monkeypatch
    ):
        worker = HandWorker()
        monkeypatch.setattr(scanning, "RETRY_UNKNOWN", 0.0)

        worker.scan.unknown.add(unknown, "a")

        assert len(worker.claim(2)) == 2
        assert list(worker.scan.unknown.queues) == [unknown]

    def test_jobs_of_more_unknown_tasks_than_a_claim_can_name_wait_in_the_schedule(
        self, worker
    ):
        put("a")
        (job,) = worker.claim()
        unknown = worker.scan.unknown
        for i in range(MOST_UNKNOWN):
            assert unknown.add(f"task{i}", "a")

        outcome = not_run(job, TaskNotFound("?"), worker.holder(), unknown)
        assert outcome.delay > 0
        unknown.discard("task0")
        outcome = not_run(job, TaskNotFound("?"), worker.holder(), unknown)

        assert outcome.delay == 0
        assert (outcome.state, outcome.failed, outcome.record) == ("READY", 0, None)
        assert unknown.changed == {"task0", job.task} | {
            f"task{i}" for i in range(1, MOST_UNKNOWN)
        }


class TestLooksOfFreeThreads:
    def looks(self, worker, limit=16):
        """Return what each look brings, until the worker would wait."""
        found = [names(worker.claim(limit))]
        while worker.scan.more:
            found.append(names(worker.claim(limit)))
            assert len(found) < 30
        return [look for look in found if look]

    def test_all_priorities_of_several_queues_are_claimed_without_a_pause(self):
        for i in range(8):
            put(f"{i}", queue="ab"[i % 2], priority=i)

        looks = self.looks(HandWorker())

        claimed = [name for look in looks for name in look]
        assert sorted(claimed) == [f"{i}" for i in range(8)]
        assert looks[0] == ["7", "6"]

    def test_a_look_for_nothing_is_the_last(self):
        worker = HandWorker()

        assert self.looks(worker) == []
        put("a")
        assert self.looks(worker) == [["a"]]

    @with_transactions
    def test_a_job_that_somebody_has_locked_keeps_none_of_its_queue_waiting(
        self, only_postgres
    ):
        put("locked", queue="a", priority=9)
        put("low", queue="a")
        put("b", queue="b", priority=1)
        worker = HandWorker()
        with transaction.atomic():
            list(Job.objects.select_for_update().filter(priority=9))

            ((looks,),) = [together(lambda: self.looks(worker))]

        assert looks == [["b"], ["low"]]


class TestAScan:
    def test_a_scan_ranks_queues_by_the_first_group_that_has_them(self):
        scan = Scan([["vip"], ["mail-*", "sms"], ["*"]], ["*-slow"])

        assert [scan.rank(queue) for queue in ("vip", "mail-x", "sms", "a")] == [
            *(0, 1, 1, 2)
        ]
        assert scan.rank("mail-slow") is None
        assert Scan([["a"]]).rank("b") is None

    @pytest.mark.parametrize("name", ["a[1]", "a?", "a.b", "(a|b)+", "a\nb"])
    def test_a_scan_takes_every_character_but_the_star_as_it_is(self, name):
        assert Scan([[name]]).rank(name) == 0
        assert Scan([[f"{name[:2]}*"]]).rank(name) == 0
        assert Scan([[name]]).rank("a1") is Scan([[name]]).rank("ab") is None
        assert Scan([["*"]], [name]).rank(name) is None

    def test_a_scan_starts_again_the_later_the_longer_that_takes(self):
        put("a")
        scan, jobs = Scan([["a"]]), HandWorker().claim()

        self.pause(scan, jobs)  # once may be by chance

        assert self.pause(scan, jobs) > EXTRA / RESCAN_SHARE > RESCAN

    def pause(self, scan, jobs):
        """Return the seconds from a slow look from the start to the next one."""
        scan.begin()
        began = time.monotonic()
        scan.fresh(list)
        wait_until(lambda: time.monotonic() > began + EXTRA, "the look takes long")
        scan.took(jobs, exhausted=False)
        began = time.monotonic()
        wait_until(lambda: not scan.marked(), "it starts anew")
        return time.monotonic() - began

    def test_a_scan_of_plain_names_asks_nothing(self):
        def asked():
            raise AssertionError("asked for the heads")

        targets = Scan([["a"], ["b[1]"]]).fresh(asked)

        assert [target.queue for target in targets] == ["a", "b[1]"]


def test_heads_are_the_first_jobs_of_each_queue():
    put("a1", "a2", queue="a")
    (top,) = put("a3", queue="a", priority=5)
    (only,) = put("b", queue="b")

    heads = dialects.of("default").queue_heads()

    found = [(head.queue_name, head.priority, head.id) for head in heads]
    assert sorted(found) == [("a", 5, UUID(top.id)), ("b", 0, UUID(only.id))]
    assert all(isinstance(head.enqueued_at, datetime) for head in heads)
