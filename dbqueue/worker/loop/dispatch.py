"""From a claim to a pool: each job's task is found, or the job is given back."""

import json
import logging
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from dbqueue import backoff, status
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome, Request
from dbqueue.dialects.scan import UnknownTasks
from dbqueue.exceptions import InvalidPayload, TaskNotAllowed, TaskNotFound
from dbqueue.jobs import expiry, losses, outcomes
from dbqueue.jobs.wakeup import CANCEL
from dbqueue.maintenance import leases
from dbqueue.tasks import defaults, registry
from dbqueue.tasks.task import Task
from dbqueue.worker.loop.alone import Alone
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.loop.prefetch import Prefetch
from dbqueue.worker.process.watchdog import Watchdog
from dbqueue.worker.run.deadlines import Deadlines
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.run.pool import Pool
from dbqueue.worker.run.pools import Pools

logger = logging.getLogger(__name__)

# Seconds that a cancelled job has to ask its context, before it is interrupted.
COURTESY = 0.5
PASSING = 0.001  # seconds that a job takes which is put into the schedule unrun


class Way(NamedTuple):
    """How jobs of a task run here."""

    task: Task[..., Any]
    pool: Pool
    seconds: float | None  # that one may run


Found = Way | TaskNotAllowed | TaskNotFound


@dataclass(eq=False)
class Dispatch:
    """Hands claimed jobs to the pools, and back what cannot be run here."""

    completer: Completer
    pools: Pools
    prefetch: Prefetch
    deadlines: Deadlines
    holder: Holder
    unknown: UnknownTasks
    watchdog: Watchdog
    drain: bool
    ways: dict[str, Way] = field(default_factory=dict)  # by the task's path
    # Whether a job's queue or app may have a say, and what they say; by its place, too.
    by_place: bool = field(default_factory=defaults.are_given)
    placed: dict[tuple[str, str, str], Way] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alone = Alone(self.completer, self._run_alone, drain=self.drain)

    def dispatch(self, claimed: list[ClaimedJob]) -> None:
        # Before any begins, which may be the last that happens here.
        self.deadlines.turn(len(claimed) + len(self.completer.in_flight))
        jobs, laned = [], False
        for job in claimed:
            laned = laned or job.lane is not None
            if job.fate is not None:  # its task is not even looked for
                self._expire(job)
            elif job.attempt_log != "[]" and losses.runs_alone(job):
                self.alone.accept(job)
            else:
                jobs.append(job)
        # What others wait for goes first: it holds its lane while it waits here.
        if laned:
            jobs.sort(key=lambda job: job.lane is None)
        # All imports first: one that ends the process, or hangs, then costs no job of
        # the claim a second run, as none of them has begun.
        found: dict[str, Found] = {}
        for job in jobs:
            if job.task not in found:
                found[job.task] = self.ways.get(job.task) or self._find(job)
        for job in jobs:
            self._hand_on(job, found[job.task])
        if self.unknown.changed:
            self._tell_unknown()
        if jobs:
            ways, loop = found.values(), self.pools.loop
            self.prefetch.only_async = all(
                isinstance(way, Way) and way.pool is loop for way in ways
            )

    def in_trouble(self) -> bool:
        """Tell whether there may be jobs that have to be given up."""
        limit = self.deadlines.next_limit()
        overdue = limit is not None and limit <= time.monotonic()
        return overdue or self.pools.are_suspect()

    def is_exclusive(self) -> bool:
        """Tell whether the child is to claim nothing, for the sake of one job."""
        return self.alone.busy and self.alone.is_exclusive()

    def cancelled_out_of(self, notes: set[str]) -> set[str]:
        """Stop the jobs that notes of the keeper name; return the other notes."""
        asked = {note for note in notes if note.startswith(CANCEL)}
        held = self.completer.in_flight
        if asked:
            self.deadlines.heard()
            flying = {(id, job.attempt) for id, (job, _) in held.items()}
            for other in self.holder.cancelled.keys() - flying:  # they have ended
                del self.holder.cancelled[other]
        for note in asked:
            id, attempt, said = note.removeprefix(CANCEL).split(":", 2)
            job, _ = held.get(UUID(id), (None, None))
            if job is not None and job.attempt == int(attempt):
                # Before it: one that begins now looks there.
                key = job.id, job.attempt
                self.holder.cancelled[key] = Request(*json.loads(said))
                known = registry.is_resolved(job.task)
                asks = known and registry.resolve(job.task).takes_context
                self.deadlines.cancel(job.id, COURTESY if asks else 0.0)
        return notes - asked

    def step(self, *, leaving: bool) -> None:
        """Begin the next job that runs alone, if it is time."""
        self.deadlines.turn(len(self.completer.in_flight))
        if self.alone.busy:
            self.alone.step(leaving=leaving)

    def is_laden(self) -> bool:
        """Tell whether large arguments leave room for nothing but light jobs."""
        held = self.completer
        return not self.prefetch.fits(held.weight) and 2 * held.arguments > held.weight

    def has_waiting(self) -> bool:
        """Tell whether jobs wait for a place."""
        return self.alone.busy or self.pools.has_waiting()

    def give_back(self, waited: float) -> None:
        """Give back what has waited for so many seconds behind other jobs."""
        self.prefetch.note_slow_job(waited)
        for job in self.pools.take_back():
            self.completer.done(job, outcomes.untouched(job))

    def take_back(self) -> set[UUID]:
        """Return the jobs that have not begun; none of them will."""
        return {job.id for job in (*self.pools.take_back(), *self.alone.take_back())}

    def _run_alone(self, job: ClaimedJob) -> None:
        self._hand_on(job, self.ways.get(job.task) or self._find(job))

    def _find(self, job: ClaimedJob) -> Found:
        if not isinstance(job.task, str):  # SQLite keeps what it is given
            return TaskNotAllowed(f"{job.task!r} is not the path of a task.")
        self.deadlines.note_task()
        try:
            if registry.is_resolved(job.task):
                task = registry.resolve(job.task)
            else:
                with self.deadlines.resolving(job):
                    task = registry.resolve(job.task)
        except (TaskNotAllowed, TaskNotFound) as error:
            return error
        self.unknown.discard(job.task)
        way = Way(task, self.pools.pool_for(task), task.seconds_allowed)
        self.ways[job.task] = way
        return way

    def _in_place(self, job: ClaimedJob, way: Way) -> Way:
        key = job.task, job.queue_name, job.backend
        if key not in self.placed:
            task = defaults.placed(way.task, job.queue_name, job.backend)
            self.placed[key] = way._replace(task=task, seconds=task.seconds_allowed)
        return self.placed[key]

    def _hand_on(self, job: ClaimedJob, found: Found) -> None:
        if job.damage:
            self.completer.accept(job, None)
            outcome = self.holder.refuse(job, InvalidPayload(job.damage))
            self.completer.done(job, outcome)
            return
        if isinstance(found, Way):
            if self.by_place:
                found = self._in_place(job, found)
            self.completer.accept(job, found.pool)
            found.pool.submit((job, found.task, found.seconds))
            return
        self.completer.accept(job, None)
        outcome = not_run(job, found, self.holder, self.unknown)
        if outcome.delay:  # there may be many, and others behind them
            self.prefetch.learn([PASSING])
        self.completer.done(job, outcome)

    def _expire(self, job: ClaimedJob) -> None:
        self.completer.accept(job, None)
        self.completer.done(job, expiry.end(job, self.holder.worker_id))

    def _tell_unknown(self) -> None:
        """Let the row of this worker say what it leaves to others, or to nobody."""
        alias, queues = self.watchdog.alias, self.unknown.queues
        with self.watchdog.during():
            leases.note_unknown(alias, self.holder.worker_id, list(queues))
            while self.unknown.changed:
                task = self.unknown.changed.pop()
                queue = queues.get(task)
                if queue is not None and not status.is_known(alias, queue, task):
                    logger.error(
                        "No live worker of queue=%s knows task=%s", queue, task
                    )


def not_run(
    job: ClaimedJob,
    error: TaskNotAllowed | TaskNotFound,
    holder: Holder,
    unknown: UnknownTasks,
) -> Outcome:
    """Return the outcome of a job whose task was not found here.

    It is left to workers that know the task, or to a time when this one does: further
    claims leave out the task. Where too many are left out, the job waits in the
    schedule, or every claim would meet it again.
    """
    if isinstance(error, TaskNotAllowed):
        return holder.refuse(job, error)
    is_new = job.task not in unknown.queues
    delay = 0.0
    if not unknown.add(job.task, job.queue_name):
        delay = backoff.exponential(job.attempt, base=10.0, factor=2.0, cap=300.0)
    cause = error.__cause__
    logger.log(
        logging.WARNING if is_new else logging.DEBUG,
        "Job id=%s waits for a worker that knows its task: %s",
        job.id,
        error,
        exc_info=None if isinstance(cause, ModuleNotFoundError) else cause,
    )
    return outcomes.untouched(job, delay=delay)
