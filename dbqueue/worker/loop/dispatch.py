"""From a claim to a pool: each job's task is found, or the job is given back."""

import logging
from typing import Any, NamedTuple

from dbqueue import backoff
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.jobs import outcomes
from dbqueue.tasks import registry
from dbqueue.tasks.task import Task
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.loop.prefetch import Prefetch
from dbqueue.worker.run.deadlines import Deadlines
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.run.pools import Pool, Pools

logger = logging.getLogger(__name__)


class Way(NamedTuple):
    """How jobs of a task run here."""

    task: Task[..., Any]
    pool: Pool
    seconds: float | None  # that one may run


Found = Way | TaskNotAllowed | TaskNotFound


class Dispatch:
    """Hands claimed jobs to the pools, and back what cannot be run here."""

    def __init__(
        self,
        completer: Completer,
        pools: Pools,
        prefetch: Prefetch,
        deadlines: Deadlines,
        holder: Holder,
    ) -> None:
        self._completer = completer
        self._pools = pools
        self._prefetch = prefetch
        self._deadlines = deadlines
        self._holder = holder
        self._ways: dict[str, Way] = {}  # by the task's path

    def dispatch(self, jobs: list[ClaimedJob]) -> None:
        # All imports first: one that ends the process, or hangs, then costs no job of
        # the claim a second run, as none of them has begun.
        found: dict[str, Found] = {}
        for job in jobs:
            if job.task not in found:
                found[job.task] = self._ways.get(job.task) or self._find(job)
        for job in jobs:
            self._hand_on(job, found[job.task])
        if jobs:
            only_async = all(
                isinstance(way, Way) and way.pool is self._pools.loop
                for way in found.values()
            )
            self._prefetch.note_claim(only_async=only_async)

    def _find(self, job: ClaimedJob) -> Found:
        try:
            if registry.is_resolved(job.task):
                task = registry.resolve(job.task)
            else:
                with self._deadlines.resolving(job):
                    task = registry.resolve(job.task)
        except (TaskNotAllowed, TaskNotFound) as error:
            return error
        way = Way(task, self._pools.pool_for(task), task.seconds_allowed)
        self._ways[job.task] = way
        return way

    def _hand_on(self, job: ClaimedJob, found: Found) -> None:
        if isinstance(found, Way):
            self._completer.accept(job, found.pool)
            found.pool.submit((job, found.task, found.seconds))
            return
        self._completer.accept(job, None)
        if isinstance(found, TaskNotAllowed):
            self._completer.done(job, self._holder.refuse(job, found))
        else:
            self._completer.done(job, left_to_others(job, found))


def left_to_others(job: ClaimedJob, error: TaskNotFound) -> Outcome:
    """Leave a job to workers that know its task, or to a time when this one does.

    It waits in the schedule: as long as it was ready, every claim would meet it again.
    """
    delay = backoff.exponential(job.attempt, base=10.0, factor=2.0, cap=300.0)
    cause = error.__cause__
    logger.warning(
        "Job id=%s waits %.0f s for a worker that knows its task: %s",
        job.id,
        delay,
        error,
        exc_info=None if isinstance(cause, ModuleNotFoundError) else cause,
    )
    return outcomes.untouched(job, delay=delay)
