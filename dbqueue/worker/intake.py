"""What happens to a job between its claim and its pool: the way to its task."""

import logging

from dbqueue import backoff, registry
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.worker.board import Board
from dbqueue.worker.crew import Crew
from dbqueue.worker.executor import Executor
from dbqueue.worker.ledger import Ledger
from dbqueue.worker.records import untouched

logger = logging.getLogger(__name__)


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
        for job in jobs:
            self._take(job)
        if jobs:
            self._crew.got({self._ledger.in_flight[job.id].pool for job in jobs})

    def _take(self, job: ClaimedJob) -> None:
        try:
            with self._board.resolving(job):
                task = registry.resolve(job.task)
        except TaskNotAllowed as error:
            self._ledger.take_on(job, None)
            self._ledger.done(job, self._executor.refuse(job, error))
        except TaskNotFound as error:
            self._ledger.take_on(job, None)
            self._ledger.done(job, left_to_others(job, error))
        else:
            pool = self._crew.pool_for(task)
            self._ledger.take_on(job, pool)
            pool.submit(job, task)


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
