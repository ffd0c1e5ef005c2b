"""What happens to a job between its claim and its pool: the way to its task."""

import logging
from typing import Any

from dbqueue import backoff, registry
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.tasks import Task
from dbqueue.worker.board import Board
from dbqueue.worker.crew import Crew
from dbqueue.worker.executor import Executor
from dbqueue.worker.ledger import Ledger
from dbqueue.worker.records import untouched

logger = logging.getLogger(__name__)

Resolved = Task[..., Any] | TaskNotAllowed | TaskNotFound


class Intake:
    """Hands claimed jobs to the crew, and back what cannot be run here."""

    def __init__(
        self, ledger: Ledger, crew: Crew, board: Board, executor: Executor
    ) -> None:
        self._ledger = ledger
        self._crew = crew
        self._board = board
        self._executor = executor

    def take(self, jobs: list[ClaimedJob]) -> None:
        # All imports first: one that ends the process, or hangs, then costs no job of
        # the claim a second run, as none of them has begun.
        by_path: dict[str, Resolved] = {}
        for job in jobs:
            if job.task not in by_path:
                by_path[job.task] = self._resolve(job)
        for job in jobs:
            self._hand_on(job, by_path[job.task])
        if jobs:
            self._crew.got({self._ledger.in_flight[job.id].pool for job in jobs})

    def _resolve(self, job: ClaimedJob) -> Resolved:
        if registry.is_resolved(job.task):
            return registry.resolve(job.task)
        try:
            with self._board.resolving(job):
                return registry.resolve(job.task)
        except (TaskNotAllowed, TaskNotFound) as error:
            return error

    def _hand_on(self, job: ClaimedJob, task: Resolved) -> None:
        if isinstance(task, Task):
            pool = self._crew.pool_for(task)
            self._ledger.take_on(job, pool)
            pool.submit(job, task)
            return
        self._ledger.take_on(job, None)
        if isinstance(task, TaskNotAllowed):
            self._ledger.done(job, self._executor.refuse(job, task))
        else:
            self._ledger.done(job, left_to_others(job, task))


def left_to_others(job: ClaimedJob, error: TaskNotFound) -> Outcome:
    """Leave a job to workers that know its task, or to a time when this one does.

    It waits in the schedule: as long as it was ready, every claim would meet it again.
    """
    outcome = untouched(job)
    outcome.delay = backoff.exponential(job.attempt, base=10.0, factor=2.0, cap=300.0)
    cause = error.__cause__
    logger.warning(
        "Job id=%s waits %.0f s for a worker that knows its task: %s",
        job.id,
        outcome.delay,
        error,
        exc_info=None if isinstance(cause, ModuleNotFoundError) else cause,
    )
    return outcome
