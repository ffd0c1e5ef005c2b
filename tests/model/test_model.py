"""A state machine that makes moves at random, on the database and on a model of it.

Hypothesis chooses the moves and finds the shortest sequence for a difference. The same
sequences are tried each time; DBQUEUE_TEST_SEED chooses others, DBQUEUE_TEST_FAULTS=1
tries six times as many, and DBQUEUE_TEST_SCALE=10 sixty times.

The database's clock cannot be moved, so time passes by moving back what is compared
with it. Nothing waits for less than an hour; what is to wait some seconds is made to
wait half an hour, or a slow machine would see it come due.
"""

import os
import sys
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dbqueue import dialects, enqueue_many, jobs, limits, queues
from dbqueue.dialects import scan
from dbqueue.jobs import expiry
from dbqueue.jobs.outcomes import rescued, untouched
from dbqueue.limits.enqueueing import _known as limits_known
from dbqueue.limits.gates import sweep
from dbqueue.maintenance import leases
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.promote import promote
from dbqueue.maintenance.prune import prune
from dbqueue.maintenance.rescue import held_by, orphans, rescue
from dbqueue.models import FinishedJob, Job, Lane, LimitRule, Pause, Worker
from dbqueue.tasks.registry import resolve
from dbqueue.worker.loop.notes import Notes
from tests.gallery.models import Profile
from tests.support import invariants
from tests.support.model_worker import (
    ALIAS,
    FINISHING,
    LANE,
    LINE,
    ORDERS,
    Hand,
    obey,
    obey_alone,
    obey_atomically,
    obey_in_a_lane,
    obey_in_line,
    obey_once,
    obey_until_started,
    orders,
)
from tests.support.processes import FAULTS, SCALE
from tests.support.reference import HOUR, PAUSE, Reference

SEED = int(os.environ.get("DBQUEUE_TEST_SEED", "4"))
LEASE = 2 * HOUR
QUEUES = ("a", "b", "c")
STATES = ("SUCCESSFUL", "FAILED", "CANCELLED")
CHOSEN = [UUID(int=0), UUID(int=1), UUID(int=2**128 - 1)]
SERVED = [
    ([["a"]], []),
    ([["b"], ["a"], ["c"]], []),
    ([["a", "b"], ["*"]], []),
    ([["*"]], []),
    ([["*"]], ["b"]),
]
# The moves from outside, and what they are given.
MOVES = {
    "cancel": (),
    "retry": (),
    "discard": (),
    "run_now": (),
    "reschedule": (timedelta(hours=2),),
    "move_to": ("c",),
    "set_priority": (5,),
}
COLUMNS = (
    "pk",
    "attempt_log",
    "state",
    "queue_name",
    "priority",
    "attempt",
    "failures",
    "worker_id",
    "progress",
)
TASKS = st.sampled_from(
    [
        *(obey, obey_once, obey_atomically),
        *(obey_in_a_lane, obey_in_line, obey_alone, obey_until_started),
    ]
)
# What the model has to know of a task's jobs.
LANES = {
    obey_in_a_lane.module_path: LANE,
    obey_until_started.module_path: LANE,
    obey_in_line.module_path: LINE,
}
KEYS = {task.module_path: task.name for task in (obey_alone, obey_until_started)}
PAUSABLE = (
    *(f"queue:{name}" for name in QUEUES),
    *(f"limit:{LANE}", f"limit:{LINE}"),
    *(
        f"task:{task.module_path}"
        for task in (obey, obey_in_a_lane, obey_in_line, obey_until_started)
    ),
)
MOST = 2  # jobs in the lane, as it is declared
# Which of the running jobs ends next, and how.
PLAN = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(ORDERS)), min_size=1, max_size=4
)


class QueueMachine(RuleBasedStateMachine):
    workers = Bundle("workers")
    glances = Bundle("glances")

    def __init__(self):
        super().__init__()
        self.model = Reference()
        self.hands = []
        self.outcomes = []  # (outcome, ending) of all attempts
        self.rolled_back = set()

    @initialize(
        target=workers,
        served=st.lists(st.sampled_from(SERVED), min_size=2, max_size=3),
        jobs=st.lists(
            st.tuples(TASKS, st.sampled_from(QUEUES)), min_size=2, max_size=6
        ),
    )
    def begin(self, served, jobs):
        for model in (Job, FinishedJob, Worker, Profile, Lane, LimitRule, Pause):
            model.objects.all().delete()
        limits_known.clear()
        self.model.limits[LANE] = MOST
        orders.clear()
        for work, queue in jobs:
            self.enqueue(work, queue, priority=0, hours=0, lasts=None)
        return multiple(*map(self.start_worker, served))

    # Writing

    @rule(
        work=TASKS,
        queue=st.sampled_from(QUEUES),
        priority=st.sampled_from([0, 0, -1, 5]),
        hours=st.sampled_from([0, 0, 0, 1, 2]),
        lasts=st.sampled_from([None, None, None, 3]),
    )
    def enqueue(self, work, queue, priority, hours, lasts):
        call = self._call(work, queue, priority, hours)
        if lasts is not None:
            call = call.using(expires=timedelta(hours=lasts))
        self._expect(call.enqueue(), call, hours, lasts)

    @rule(
        work=TASKS,
        queue=st.sampled_from(QUEUES),
        count=st.integers(1, 4),
        committed=st.sampled_from([True, True, False]),
    )
    def enqueue_many(self, work, queue, count, committed):
        call = self._call(work, queue, 0, 0)
        with transaction.atomic():
            results = list(enqueue_many(call, [()] * count))
            transaction.set_rollback(not committed)
        for result in results:
            if committed:
                self._expect(result, call, 0)
            elif result.was_enqueued:
                self.rolled_back.add(UUID(result.id))

    @rule(
        id=st.sampled_from(CHOSEN),
        queue=st.sampled_from(QUEUES),
        hours=st.sampled_from([0, 1]),
    )
    def enqueue_with_an_id(self, id, queue, hours):
        call = self._call(obey, queue, 0, hours).using(job_id=id)
        before = self.model.jobs.get(id) or self.model.history.get(id)

        result = call.enqueue()

        assert result.id == str(id)
        if before is None:
            self._expect(result, call, hours)
        else:
            assert result.state == before.state

    # Workers

    @precondition(lambda self: len(self.hands) < 4)
    @rule(target=workers, served=st.sampled_from(SERVED))
    def start_worker(self, served):
        worker = Hand(*served)
        leases.register(
            ALIAS,
            worker.id,
            name="",
            host="",
            pid=1,
            queues="",
            lease=LEASE * 3600,
        )
        self.model.leases[worker.id] = self.model.now + LEASE
        self.hands.append(worker)
        return worker

    @rule(worker=workers, limit=st.integers(1, 6), plan=PLAN)
    def work(self, worker, limit, plan):
        """Run jobs as planned; settle what ended and claim, in one commit."""
        self._run(worker, plan)
        self._exchange(worker, limit)

    @precondition(lambda self: self.model.ready())
    @rule(worker=workers, limit=st.integers(1, 6))
    def claim_from_the_start(self, worker, limit):
        worker.forget_marks()
        self._exchange(worker, limit)

    @precondition(lambda self: self.busy())
    @rule(which=st.integers(0, 5), plan=PLAN)
    def run(self, which, plan):
        """Run jobs as planned; the database hears of it later."""
        self._run(pick(which, self.busy()), plan)

    @precondition(lambda self: self.busy())
    @rule(which=st.integers(0, 5), order=st.sampled_from(ORDERS))
    def run_all_alike(self, which, order):
        worker = pick(which, self.busy())
        self._run(worker, [(0, order)] * len(worker.running))
        self._recover(worker)
        worker.completer.flush()
        self._expect_recorded(worker)

    @rule(worker=workers, limit=st.integers(0, 3), plan=PLAN)
    def lose_an_answer(self, worker, limit, plan):
        """Be cut off when the commit is through, and recover when it works again."""
        self._run(worker, plan)
        settled, claimed = worker.dialect.finish_and_claim(
            worker.id, list(worker.outcomes.values()), worker.new_scan(), limit
        )

        assert settled == self.model.record(worker.id, worker.ended)
        expected = self.model.claim(worker.id, limit, worker.new_search())
        assert [(job.id, job.attempt) for job in claimed] == expected
        self._hold_pauses()
        worker.in_trouble = True

    @precondition(lambda self: self.doubtful())
    @rule(which=st.integers(0, 5), holder=st.booleans(), worker=workers)
    def send_an_outcome_again(self, which, holder, worker):
        """Send what an attempt came to while the job runs, for its holder or another.

        Neither may end an attempt that is not its own.
        """
        outcome, ending = pick(which, self.doubtful())
        sender = self.model.jobs[outcome.id].worker if holder else worker.id
        settled = worker.dialect.record(sender, [outcome])

        ended = {outcome.id: (outcome.attempt, ending)}
        assert settled == self.model.record(sender, ended)
        self._hold_pauses()

    @precondition(lambda self: self.busy())
    @rule(which=st.integers(0, 5), value=st.integers(0, 9))
    def note_progress(self, which, value):
        worker = pick(which, self.busy())
        notes = Notes(worker.dialect, worker.id)
        for job in worker.running:
            notes.add(worker.id, [(job.id, job.attempt, str(value))])
            self.model.note_progress(worker.id, job.id, job.attempt, value)
        notes.flush()

    @rule(worker=consumes(workers), begun=st.integers(0, 3), vanish=st.booleans())
    def stop(self, worker, begun, vanish):
        """Give back what runs, with a record of the jobs that have begun.

        Or vanish with the whole host: then only the lease tells.
        """
        self.hands.remove(worker)
        if vanish:
            return
        first = {job.id for job in worker.running[:begun]}
        for job in worker.running:
            ending = "released" if job.id in first else "untouched"
            worker.ended[job.id] = (job.attempt, ending)
        worker.completer.release_unfinished(first)
        worker.completer.flush()
        self._expect_recorded(worker)
        self._retire(worker)

    @rule(worker=workers, reason=st.sampled_from(["lost", "released"]))
    def reap(self, worker, reason):
        """Reap it as a keeper does; it may go on, as a zombie."""
        self._retire(worker)
        self._rescue(held_by(ALIAS, worker.id), reason)

    # Whoever acts on jobs from outside

    @rule(
        move=st.sampled_from(list(MOVES)),
        which=st.lists(st.integers(0, 20), min_size=1, max_size=4),
    )
    def act_on_jobs(self, move, which):
        """Move jobs in any state, and some that were never there."""
        known = {**self.model.jobs, **self.model.history}
        candidates = [*known, *self.rolled_back, UUID(int=7)]
        ids = list(dict.fromkeys(pick(number, candidates) for number in which))

        moved = getattr(jobs, move)(ids, *MOVES[move])

        more = [set(map(UUID, moved.ids))] if move == "retry" else MOVES[move]
        done = getattr(self.model, move)(ids, *more)
        assert Counter(moved.ids) == Counter(map(str, done))
        assert len(moved.ids) == moved.done + moved.asked
        assert len(moved.ids) + sum(moved.skipped.values()) == len(ids)
        unknown = len(ids) - len(known.keys() & set(ids))
        assert moved.skipped.get("unknown", 0) == unknown

    # Whoever limits and pauses

    @rule(most=st.integers(1, 4))
    def change_a_limit(self, most):
        limits.set(LANE, concurrency=most)
        self.model.limit(LANE, most)

    @rule()
    def take_a_change_back(self):
        limits.reset(LANE)
        self.model.limit(LANE, MOST)

    @rule(what=st.sampled_from(PAUSABLE))
    def pause(self, what):
        queues.pause(what)
        self.model.pause(what)

    @precondition(lambda self: self.model.paused)
    @rule(which=st.integers(0, 5))
    def resume(self, which):
        what = pick(which, sorted(self.model.paused))
        assert queues.resume(what)
        self.model.resume(what)

    # Keepers

    @precondition(lambda self: self.model.now)
    @rule(worker=workers)
    def heartbeat(self, worker):
        dead = leases.heartbeat(ALIAS, [worker.id], lease=LEASE * 3600)

        assert dead == {worker.id} - self.model.leases.keys()
        if not dead:
            self.model.leases[worker.id] = self.model.now + LEASE

    @precondition(lambda self: self.model.orphans() or self.model.expired_leases())
    @rule()
    def condemn_and_rescue(self):
        assert leases.condemn(ALIAS) == self.model.condemn()
        self._rescue(orphans(ALIAS), "lost", self.model.orphans())

    @rule(target=glances, worker=workers)
    def look_at_what_it_holds(self, worker):
        return held_by(ALIAS, worker.id)

    @rule(held=consumes(glances), reason=st.sampled_from(["lost", "released"]))
    def rescue_late(self, held, reason):
        """Rescue what the dead held a while ago, whoever holds it now."""
        self._rescue([j for j in held if j.worker_id not in self.model.leases], reason)

    @precondition(lambda self: self.model.due())
    @rule(limit=st.integers(1, 6))
    def promote(self, limit):
        due = self.model.due()
        queues = promote(ALIAS, limit=limit)

        waiting = Job.objects.filter(state="SCHEDULED").values_list("pk", flat=True)
        promoted = due.keys() - set(waiting)
        assert_first(promoted, due, limit)
        self.model.admitted.clear()
        self.model.promote(promoted)
        assert queues == self.model.admitted

    @precondition(lambda self: self.model.jobs)
    @rule()
    def end_what_has_expired(self):
        expire(ALIAS)
        self.model.expire()

    @rule(hours=st.integers(1, 3))
    def let_time_pass(self, hours):
        self.model.now += hours * HOUR
        for rows, name in (
            (Job.objects.filter(state="SCHEDULED"), "run_after"),
            (Job.objects, "expires_at"),
            (Worker.objects, "expires_at"),
            (FinishedJob.objects, "finished_at"),
        ):
            rows.update(**{name: F(name) - timedelta(hours=hours)})

    @precondition(lambda self: self.model.history)
    @rule(
        states=st.lists(st.sampled_from(STATES), min_size=1, max_size=3, unique=True),
        hours=st.integers(0, 2),
        limit=st.integers(1, 4),
    )
    def prune(self, states, hours, limit):
        expired = {state: self.model.expired(state, hours * HOUR) for state in states}
        deleted = prune(ALIAS, states=states, older_than=hours * 3600, limit=limit)

        left = set(FinishedJob.objects.values_list("pk", flat=True))
        gone = self.model.history.keys() - left
        assert deleted == len(gone)
        for state in states:
            pruned = gone & expired[state].keys()
            assert_first(pruned, expired[state], limit)
            limit -= len(pruned)
            gone -= pruned
            for id in pruned:
                del self.model.history[id]
        assert not gone

    def busy(self):
        return [worker for worker in self.hands if worker.running]

    def doubtful(self):
        """Return (outcome, ending) of attempts at the jobs that run now."""
        running = {id for id, job in self.model.jobs.items() if job.worker}
        return [pair for pair in self.outcomes if pair[0].id in running]

    # What must hold after each move

    @invariant()
    def the_tables_are_as_the_model_says(self):
        self._sweep()
        assert rows(Job.objects.values_list(*COLUMNS)) == {
            id: told(job) for id, job in self.model.jobs.items()
        }
        assert rows(FinishedJob.objects.values_list(*COLUMNS, "result")) == {
            id: [*told(job), job.attempt if job.state == "SUCCESSFUL" else None]
            for id, job in self.model.history.items()
        }
        alive = Worker.objects.values_list("pk", flat=True)
        assert set(alive) == self.model.leases.keys()
        assert not orders

    @invariant()
    def live_workers_know_what_they_hold(self):
        for worker in self.hands:
            if worker.id in self.model.leases and not worker.in_trouble:
                held = self.model.held_by(worker.id)
                attempts = {(id, self.model.jobs[id].attempt) for id in held}
                assert attempts <= worker.known()

    def teardown(self):
        """End all that is left: no job may be where nobody finds it."""
        if sys.exception() is None:
            invariants.check(
                committed=self.model.jobs.keys() | self.model.history.keys(),
                rolled_back=self.rolled_back,
            )
            self._drain()

    def _drain(self):
        for what in sorted(self.model.paused):
            queues.resume(what)
            self.model.resume(what)
        self.let_time_pass(3)
        self.condemn_and_rescue()
        self.let_time_pass(3)
        self.promote(1000)
        last = self.start_worker(([["*"]], []))
        while self.model.jobs:
            self._sweep()
            assert self.model.ready()
            last.forget_marks()
            self._exchange(last, 1000)
            self.hands = [last]
            self.run_all_alike(0, "succeeded")
        assert not Job.objects.exists()
        invariants.check(committed=self.model.history, at_rest=True)

    # The moves of workers

    def _recover(self, worker):
        if worker.in_trouble:
            worker.in_trouble = False
            worker.completer.reconcile()
            self._expect_recorded(worker)
            self.model.admitted.clear()  # others were told
            hidden = {}
            for id in self.model.held_by(worker.id):
                job = self.model.jobs[id]
                if (id, job.attempt) not in worker.known():
                    ending = "cancelled" if job.asked else "released"
                    hidden[id] = job.attempt, ending
            self.model.record(worker.id, hidden)

    def _exchange(self, worker, limit):
        self._recover(worker)
        ends_something = bool(worker.ended)
        claimed = worker.completer.finish_and_claim(worker.scan, limit)

        self._expect_recorded(worker)
        if ends_something:
            worker.search.admit(self.model.admitted)
        expected = self.model.claim(worker.id, limit, worker.search)
        assert [(job.id, job.attempt) for job in claimed] == expected
        for job in claimed:
            worker.completer.accept(job, None)
            worker.running.append(job)

    def _run(self, worker, plan):
        for which, order in plan:
            if worker.running:
                job = pick(which, worker.running)
                worker.running.remove(job)
                self._run_one(worker, job, order)

    def _run_one(self, worker, job, order):
        if job.fate is not None:
            return self._end(worker, job, "expired", expiry.end(job, worker.id))
        if order == "timeout":
            return self._end(worker, job, order, rescued(job.held_by(worker.id), order))
        if order == "untouched":
            return self._end(worker, job, order, untouched(job))
        task = resolve(job.task)
        if task.atomic and order in FINISHING:
            order = "succeeded"
        orders.append(order)

        outcome = worker.run(job, task)

        if order == "failed in finishing":
            order = "failed"
        if outcome is not None:
            return self._end(worker, job, order, outcome)
        # It ended in its own commit, or lost its claim.
        ended = {job.id: (job.attempt, "succeeded")}
        settled = self.model.record(worker.id, ended)
        self.model.effects += settled
        assert not settled or task.atomic or order in FINISHING
        worker.drop(job)
        self._expect_effects()

    def _end(self, worker, job, ending, outcome):
        self.outcomes.append((outcome, ending))
        worker.end(job, ending, outcome)

    def _expect_effects(self):
        names = Profile.objects.values_list("name", flat=True)
        assert Counter(names) == Counter(map(str, self.model.effects))

    # How moves are compared

    def _call(self, work, queue, priority, hours):
        after = timedelta(hours=hours) if hours else None
        return work.using(queue_name=queue, priority=priority, run_after=after)

    def _expect(self, result, call, hours, lasts=None):
        id, path = UUID(result.id), call.module_path
        if not result.was_enqueued:
            assert id == self.model.stands(KEYS[path])
            return
        unique = call.unique
        assert self.model.enqueue(
            id,
            call.queue_name,
            call.priority,
            call.attempts_allowed,
            hours * HOUR,
            None if lasts is None else lasts * HOUR,
            task=path,
            lane=LANES.get(path),
            key=KEYS.get(path),
            key_ends=unique is not None and unique.until == "started",
        )

    def _sweep(self):
        """Look for what may be let in, whatever news of it were lost."""
        if self.model.blocked():
            sweep(ALIAS)
            self.model.sweep()
        dialects.of(ALIAS).admitted.clear()
        self.model.admitted.clear()

    def _expect_recorded(self, worker):
        self.model.record(worker.id, worker.ended)
        worker.ended, worker.outcomes = {}, {}
        self._hold_pauses()

    def _rescue(self, held, reason, expected=None):
        count = rescue(ALIAS, held, reason=reason)

        if expected is not None:
            assert {job.id for job in held} == expected
        by_worker = {}
        for job in held:
            # One that was asked to stop is over; perhaps we did not see that yet.
            ending = "cancelled" if job.cancelled_at else reason
            ended = by_worker.setdefault(job.worker_id, {})
            ended[job.id] = job.attempt, ending
        taken = [self.model.record(id, ended) for id, ended in by_worker.items()]
        assert count == sum(map(len, taken))
        self._hold_pauses()

    def _retire(self, worker):
        leases.retire(ALIAS, worker.id)
        self.model.leases.pop(worker.id, None)

    def _hold_pauses(self):
        """Let the jobs wait half an hour that are to wait some seconds."""
        paused = [
            id
            for id, job in self.model.jobs.items()
            if job.state == "SCHEDULED" and job.due == self.model.now + PAUSE
        ]
        if paused:
            half_an_hour = timezone.now() + timedelta(minutes=30)
            rows = Job.objects.filter(pk__in=paused)
            assert not rows.filter(run_after__gt=half_an_hour).exists()
            rows.update(run_after=half_an_hour)


def pick(which, candidates):
    return candidates[which % len(candidates)]


def rows(columns):
    return {
        id: [[entry["reason"] for entry in log], *values]
        for id, log, *values in columns
    }


def told(job):
    """Return what the model says of a job, as rows() does."""
    return [
        [reason.split()[0] for reason in job.reasons],
        job.state,
        job.queue,
        job.priority,
        job.attempt,
        job.failures,
        job.worker,
        job.progress,
    ]


def assert_first(chosen, candidates, limit):
    """Assert that `limit` of the candidates were chosen, those of the lowest value."""
    assert len(chosen) == min(limit, len(candidates))
    passed_over = [value for id, value in candidates.items() if id not in chosen]
    if chosen and passed_over:
        assert max(candidates[id] for id in chosen) <= min(passed_over)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quiet")
def test_the_queue_does_what_the_model_does(monkeypatch):
    # A quarter second is over when the machine says so.
    monkeypatch.setattr(scan, "RESCAN", 1e9)
    monkeypatch.setattr(scan, "ADMITTED_RESCAN", 1e9)
    print(f"DBQUEUE_TEST_SEED={SEED}")

    run_state_machine_as_test(
        seed(SEED)(QueueMachine),
        settings=settings(
            max_examples=600 if SCALE >= 10 else 60 if FAULTS else 10,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
        ),
    )
