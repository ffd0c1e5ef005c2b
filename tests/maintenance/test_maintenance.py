import logging
from datetime import timedelta
from itertools import takewhile
from threading import Event

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dbqueue import enqueue, enqueue_many
from dbqueue.ids import uuid7
from dbqueue.jobs import losses, moves
from dbqueue.maintenance import leases
from dbqueue.maintenance.promote import promote
from dbqueue.maintenance.prune import BATCH, prune
from dbqueue.maintenance.rescue import (
    finished_by,
    held_by,
    orphans,
    rescue,
    rescue_orphans,
)
from dbqueue.models import FinishedJob, Job, JobState, Worker
from dbqueue.signals import job_rescued
from dbqueue.worker.parent.pruner import Pruner, next_batch
from dbqueue.worker.parent.reaper import reap
from dbqueue.worker.shared import Phase, make_children
from tests import tasks
from tests.support.workers import HandWorker, together

pytestmark = pytest.mark.django_db
with_transactions = pytest.mark.django_db(transaction=True)

ALIAS = "default"
DAY = 86_400


def held(worker):
    return held_by(ALIAS, worker.id)


def finished(state="SUCCESSFUL", *, days=0, count=1, queue_name="default"):
    """Write records of jobs that finished so many days ago."""
    moment = timezone.now() - timedelta(days=days)
    return FinishedJob.objects.bulk_create(
        FinishedJob(
            task="tests.tasks.noop",
            queue_name=queue_name,
            backend="default",
            state=state,
            max_attempts=1,
            enqueued_at=moment,
            finished_at=moment,
        )
        for _ in range(count)
    )


def lost_with_others(worker, count, max_attempts=1):
    """Return the rows of jobs whose worker vanished while it held them all."""
    enqueue_many(tasks.noop, [()] * count)
    Job.objects.update(max_attempts=max_attempts)
    worker.claim(count)
    leases.retire("default", worker.id)
    rescue_orphans("default")
    return list(Job.objects.all())


def test_jobs_that_are_lost_together_are_released_to_run_alone(worker):
    jobs = lost_with_others(worker, 3)

    assert [job.state for job in jobs] == ["READY"] * 3
    assert {(job.failures, len(job.attempt_log)) for job in jobs} == {(0, 1)}
    for claimed in HandWorker().claim(3):
        assert losses.runs_alone(claimed)


def test_a_job_that_is_lost_alone_counts_a_failure(worker):
    assert lost_with_others(worker, 1) == []

    (record,) = FinishedJob.objects.all()
    assert (record.state, record.failures) == ("FAILED", 1)
    assert record.attempt_log[0]["reason"] == "lost"


def test_a_job_is_not_lost_with_others_for_ever_without_a_failure(worker):
    lost_with_others(worker, 2)
    for _ in range(losses.MOST_TOGETHER):
        assert not FinishedJob.objects.exists()
        moves.make_due(ALIAS)
        promote(ALIAS)
        other = HandWorker()
        other.claim(2)
        leases.retire("default", other.id)
        rescue_orphans("default")

    ended = FinishedJob.objects.values_list("state", "failures")
    assert list(ended) == [("FAILED", 1)] * 2


@pytest.mark.parametrize(
    ("log", "alone"),
    [
        ([], False),
        ([{"reason": "failed"}], False),
        ([{"reason": "released"}], False),
        ([{"reason": "lost"}], True),
        ([{"reason": "released", "beside": 2}, {"reason": "released"}], True),
        ([{"reason": "lost"}, {"reason": "snoozed"}], False),
        ([{"reason": "failed"}, {"reason": "lost"}], True),
        ([7, "damaged"], False),
        ({"not": "a list"}, False),
    ],
)
def test_a_job_runs_alone_from_its_loss_to_an_end_of_its_own(worker, log, alone):
    enqueue(tasks.noop)
    Job.objects.update(attempt_log=log)

    (job,) = worker.claim()

    assert losses.runs_alone(job) is alone


class TestPromotion:
    def test_promotion_makes_due_jobs_ready_and_tells_their_queues(self):
        for queue in ("a", "b"):
            task = tasks.noop.using(run_after=timedelta(hours=1), queue_name=queue)
            task.enqueue()
        Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))

        assert promote(ALIAS) == {"a", "b"}
        assert not Job.objects.exclude(state=JobState.READY).exists()

    def test_promotion_leaves_jobs_that_are_not_due(self):
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()

        assert promote(ALIAS) == set()
        assert Job.objects.get().state == JobState.SCHEDULED

    def test_promotion_takes_the_earliest_first(self, worker):
        for hours in (3, 1, 2):
            tasks.echo.using(run_after=timedelta(hours=hours)).enqueue(hours)
        for job in Job.objects.all():
            job.run_after -= timedelta(days=1)
            job.save(update_fields=["run_after"])

        worker.dialect.promote(2)

        ready = Job.objects.filter(state=JobState.READY).values_list("args", flat=True)
        assert sorted(ready) == [[1], [2]]

    @with_transactions
    def test_promotion_by_many_at_once_promotes_each_job_once(self):
        for _ in range(20):
            tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
        Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))

        together(*[lambda: promote(ALIAS)] * 4)

        assert Job.objects.filter(state=JobState.READY).count() == 20


class TestHeartbeats:
    def test_heartbeats_renew_the_lease(self, worker):
        before = Worker.objects.get().expires_at

        assert leases.heartbeat(ALIAS, [worker.id], lease=600) == set()
        assert Worker.objects.get().expires_at > before + timedelta(seconds=500)

    def test_heartbeats_tell_who_was_declared_dead(self, worker):
        other = uuid7()

        assert leases.heartbeat(ALIAS, [worker.id, other], lease=60) == {other}

    def test_heartbeats_do_not_bring_the_dead_back(self, worker):
        leases.retire(ALIAS, worker.id)
        leases.heartbeat(ALIAS, [worker.id], lease=60)

        assert not Worker.objects.exists()


class TestAnExpiredWorker:
    def test_an_expired_worker_is_removed_and_named_in_the_log(self, worker, caplog):
        expired = HandWorker(lease=-1)

        with caplog.at_level(logging.WARNING):
            assert leases.condemn(ALIAS) == 1

        assert Worker.objects.get().pk == worker.id
        assert f"id={expired.id}" in caplog.text

    def test_an_expired_worker_may_share_its_name_with_a_live_one(self, worker):
        HandWorker(lease=-1)

        leases.condemn(ALIAS)

        assert [row.pk for row in Worker.objects.filter(name="hand")] == [worker.id]

    def test_an_expired_worker_leaves_orphans(self, worker):
        result = tasks.noop.enqueue()
        worker.claim()
        assert orphans(ALIAS) == []

        leases.retire(ALIAS, worker.id)

        (orphan,) = orphans(ALIAS)
        assert (str(orphan.id), orphan.worker_id) == (result.id, worker.id)

    def test_one_look_finds_that_nothing_is_lost(self, worker):
        enqueue_many(tasks.noop, [()] * 2)
        worker.claim()

        with CaptureQueriesContext(connection) as captured:
            assert rescue_orphans(ALIAS, condemning=True) == 0

        assert len(captured) == 1

    def test_a_look_ends_leases_that_are_over_and_takes_their_jobs(self):
        result = tasks.noop.enqueue()
        expired = HandWorker(lease=60)
        expired.claim()
        Worker.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        assert rescue_orphans(ALIAS) == 0
        assert rescue_orphans(ALIAS, condemning=True) == 1

        result.refresh()
        assert result.state == "READY"
        assert not Worker.objects.exists()

    def test_an_expired_worker_cannot_claim(self):
        tasks.noop.enqueue()
        expired = HandWorker(lease=-1)
        leases.condemn(ALIAS)

        assert expired.claim() == []


class TestARescue:
    @pytest.mark.parametrize(
        ("reason", "failures", "error"),
        [
            ("lost", 1, "dbqueue.exceptions.WorkerLost"),
            ("timeout", 1, "dbqueue.exceptions.TaskTimeout"),
            ("released", 0, None),
        ],
    )
    def test_a_rescue_gives_the_job_back_with_its_reason(
        self, worker, reason, failures, error
    ):
        result = tasks.noop.enqueue()
        worker.claim()

        assert rescue(ALIAS, held(worker), reason=reason) == 1

        job = Job.objects.get()
        assert job.state in (JobState.READY, JobState.SCHEDULED)
        assert (job.worker_id, job.attempt, job.failures) == (None, 1, failures)
        (entry,) = job.attempt_log
        assert (entry["reason"], entry["attempt"]) == (reason, 1)
        assert entry["worker"] == str(worker.id)
        assert entry.get("exception") == error
        result.refresh()
        assert len(result.errors) == failures
        assert result.worker_ids == [str(worker.id)]

    @pytest.mark.parametrize("reason", ["lost", "timeout"])
    def test_a_rescue_ends_a_job_that_has_no_attempt_left(
        self, worker, reason, single_attempt
    ):
        result = tasks.noop.enqueue()
        worker.claim()

        rescue(ALIAS, held(worker), reason=reason)

        result.refresh()
        assert (result.state, result.attempts) == ("FAILED", 1)
        (entry,) = FinishedJob.objects.get().attempt_log
        assert entry["reason"] == reason

    def test_a_rescue_without_a_failure_never_ends_a_job(self, worker, single_attempt):
        tasks.noop.enqueue()
        for _ in range(3):
            worker.claim()
            rescue(ALIAS, held(worker), reason="released")

        job = Job.objects.get()
        assert (job.state, job.attempt, job.failures) == ("READY", 3, 0)

    @with_transactions
    def test_a_rescue_is_committed_although_a_receiver_of_it_makes_a_bad_query(self):
        def broken(**kwargs):
            Job.objects.raw("SELECT nothing FROM nowhere")[0]

        job = tasks.noop.enqueue()
        victim = HandWorker()
        victim.claim()
        leases.retire(ALIAS, victim.id)
        job_rescued.connect(broken)
        try:
            assert rescue_orphans(ALIAS) == 1
        finally:
            job_rescued.disconnect(broken)

        job.refresh()
        assert job.state == "READY"

    def test_a_rescue_ends_a_job_that_kills_every_worker(self):
        result = tasks.noop.enqueue()

        for _ in range(5):
            victim = HandWorker()
            victim.claim()
            leases.retire(ALIAS, victim.id)
            rescue_orphans(ALIAS)
            Job.objects.update(state="READY")

        result.refresh()
        assert (result.state, result.attempts) == ("FAILED", 5)
        assert HandWorker().claim() == []

    def test_a_rescue_lets_jobs_come_back_apart_that_were_lost_before(self):
        enqueue_many(tasks.noop, [()] * 5)
        for _ in range(2):
            victim = HandWorker()
            victim.claim(5)
            leases.retire(ALIAS, victim.id)
            rescue_orphans(ALIAS)

        waiting = Job.objects.filter(state="SCHEDULED")
        assert len(set(waiting.values_list("run_after", flat=True))) == 5

    @with_transactions
    def test_a_rescue_does_not_wait_for_a_worker_that_stands_still_in_its_commit(
        self, only_postgres
    ):
        enqueue_many(tasks.noop, [(), ()])
        frozen = HandWorker()
        first, second = frozen.claim(2)
        leases.retire(ALIAS, frozen.id)
        locked, rescued = Event(), Event()

        def stand_still():
            with transaction.atomic():
                Job.objects.select_for_update().get(pk=first.id)
                locked.set()
                return rescued.wait(20)

        def rescue():
            locked.wait(20)
            count = rescue_orphans(ALIAS)
            rescued.set()
            return count

        assert together(stand_still, rescue) == [True, 1]
        assert Job.objects.get(state="READY").pk == second.id
        assert rescue_orphans(ALIAS) == 1
        assert rescue_orphans(ALIAS) == 0

    @with_transactions
    def test_a_rescue_of_a_dead_child_waits_for_what_is_locked_and_had_not_begun(
        self, only_postgres, single_attempt
    ):
        tasks.noop.enqueue()
        worker, (child,) = HandWorker(), make_children(1, 1)
        worker.claim()
        child.open(worker.id)
        child.phase = Phase.DEAD
        locked, reaped = Event(), Event()

        def lock():
            with transaction.atomic():
                Job.objects.select_for_update().get()
                locked.set()
                return reaped.wait(20)

        def try_to_reap():
            locked.wait(20)
            reap(ALIAS, [child])
            rescue_orphans(ALIAS)
            reaped.set()
            return child.phase

        assert together(lock, try_to_reap) == [True, Phase.DEAD]
        reap(ALIAS, [child])
        assert child.phase is Phase.EMPTY
        assert not Worker.objects.exists()
        assert Job.objects.get(state="READY", failures=0)

    def test_a_rescue_comes_too_late_for_a_job_that_has_ended(self, worker):
        tasks.noop.enqueue()
        (job,) = worker.claim()
        late = held(worker)
        worker.finish(job)

        assert rescue(ALIAS, late) == 0
        assert FinishedJob.objects.get().state == JobState.SUCCESSFUL

    def test_a_rescue_leaves_the_jobs_of_the_living(self, worker):
        other = HandWorker()
        tasks.noop.enqueue()
        other.claim()

        assert rescue(ALIAS, held(worker)) == 0
        assert Job.objects.get().worker_id == other.id

    @with_transactions
    def test_a_rescue_by_several_at_once_counts_one_failure(self, worker):
        tasks.noop.enqueue()
        worker.claim()
        jobs = held(worker)

        rescued = together(*[lambda: rescue(ALIAS, jobs)] * 4)

        assert sorted(rescued) == [0, 0, 0, 1]
        assert Job.objects.get().failures == 1


class TestFinishedJobs:
    def test_finished_jobs_are_known_by_their_worker(self, worker):
        tasks.noop.enqueue()
        tasks.noop.enqueue()
        done, running = worker.claim(2)
        worker.finish(done)

        ids = [done.id, running.id, uuid7()]
        assert finished_by(ALIAS, worker.id, ids) == {done.id}
        assert finished_by(ALIAS, uuid7(), ids) == set()


class TestPruning:
    def prune(self, *states, days, **more):
        seconds = days * DAY
        return prune(ALIAS, states=states, older_than=seconds, **more)

    def test_pruning_deletes_what_is_old_enough(self):
        finished(days=8, count=3)
        (young,) = finished(days=6)

        assert self.prune("SUCCESSFUL", days=7) == 3
        assert FinishedJob.objects.get() == young

    def test_pruning_deletes_only_the_states_it_is_told(self):
        for state in ("SUCCESSFUL", "FAILED", "CANCELLED"):
            finished(state, days=40)

        assert self.prune("FAILED", "CANCELLED", days=30) == 2
        assert FinishedJob.objects.get().state == JobState.SUCCESSFUL

    def test_pruning_goes_by_small_batches_the_oldest_first(self):
        finished(days=9, count=2)
        finished(days=10, count=3)

        assert self.prune("SUCCESSFUL", days=7, limit=3) == 3
        expired = FinishedJob.objects.using(ALIAS).expired("SUCCESSFUL", 9.5 * DAY)
        assert not expired.exists()
        assert self.prune("SUCCESSFUL", days=7, limit=3) == 2
        assert self.prune("SUCCESSFUL", days=7, limit=3) == 0

    def test_pruning_counts_its_limit_over_all_states(self):
        finished("FAILED", days=40, count=3)
        finished("CANCELLED", days=40, count=3)

        assert self.prune("FAILED", "CANCELLED", days=30, limit=4) == 4

    def test_pruning_keeps_to_its_limit_however_the_database_plans_it(self):
        finished(days=9)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # from now on it plans for a single row
        finished(days=8, count=4)

        assert self.prune("SUCCESSFUL", days=7, limit=2) == 2
        assert FinishedJob.objects.count() == 3

    def test_pruning_leaves_unfinished_jobs(self):
        tasks.noop.enqueue()
        Job.objects.update(enqueued_at=timezone.now() - timedelta(days=99))

        self.prune("SUCCESSFUL", "FAILED", "CANCELLED", days=0)

        assert Job.objects.count() == 1

    @with_transactions
    def test_pruning_may_be_done_by_several_at_once(self):
        finished(days=8, count=600)

        def prune_all():
            batches = iter(lambda: self.prune("SUCCESSFUL", days=7, limit=50), 0)
            return sum(batches)

        assert sum(together(*[prune_all] * 3)) == 600
        assert not FinishedJob.objects.exists()


class TestAPruner:
    def test_a_pruner_goes_on_after_a_short_pause_until_nothing_old_is_left(self):
        finished(days=8, count=2 * BATCH)
        finished("FAILED", days=31, count=BATCH + 1)
        finished("CANCELLED", days=31)
        kept = finished(days=6) + finished("FAILED", days=29)
        pruner = Pruner()

        prunes = iter(lambda: pruner.prune(ALIAS), None)
        pauses = list(takewhile(lambda pause: pause < 10, prunes))

        assert len(pauses) >= 2
        assert set(FinishedJob.objects.all()) == set(kept)

    def test_a_pruner_leaves_what_is_kept_for_ever(self, settings):
        settings.DBQUEUE = {"KEEP_SUCCESSFUL": None, "KEEP_FAILED": None}
        finished(days=999)
        finished("FAILED", days=999)

        assert Pruner().prune(ALIAS) > 10
        assert FinishedJob.objects.count() == 2

    def test_a_pruner_deletes_less_at_a_time_where_the_database_is_slow(self):
        assert next_batch(1000, seconds=0.2) == 500
        assert next_batch(500, seconds=0.07) == 500
        assert next_batch(500, seconds=0.01) == 1000 == next_batch(1000, seconds=0.01)
        assert next_batch(1, seconds=9.0) == 1
