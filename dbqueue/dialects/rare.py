"""The moves that few jobs need: of large ones, and of what the database refuses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, ProgrammingError

from dbqueue.dialects.columns import ClaimedJob, NewJob
from dbqueue.dialects.placing import Placing
from dbqueue.dialects.rows import Outcome, Request, ended_in_waiting


class NextDue(NamedTuple):
    """What an idle worker has to know of the queue."""

    ready: bool  # whether any job is READY
    due: float | None  # seconds until the next SCHEDULED job is due, None without one
    blocked: bool  # whether any job waits for its gate
    late: bool  # whether any job may have expired
    parked: bool  # whether any job is PAUSED


class Losses(NamedTuple):
    """What is to be taken from workers."""

    leases: bool = True  # whether any lease is over
    jobs: bool = True  # whether any job that is running has no worker


class RareMoves(Placing):
    """See Dialect, of which it is a part."""

    def release(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        """Return jobs to the queue but for cancelled ones; return the ids of those."""
        raise NotImplementedError

    def turned(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Return what outcomes that were to give jobs back are if those were cancelled.

        They stay as they are: perhaps the jobs are somebody else's by now.
        """
        requests = self.requests([outcome.id for outcome in outcomes])
        found = []
        for outcome in outcomes:
            # Without a record, it had not begun.
            record = dict(outcome.record or ended_in_waiting(outcome.attempt))
            if outcome.id in requests:
                record |= requests[outcome.id].noted()
            found.append(
                replace(
                    outcome, state="CANCELLED", delay=0.0, record=record, turned=True
                )
            )
        return found

    def requests(self, ids: Sequence[UUID]) -> dict[UUID, Request]:
        """Return how those explain it who have cancelled these running jobs."""
        raise NotImplementedError

    def as_due(self, job: NewJob) -> str:
        """Return a job that is due, without rare columns, as insert_due() takes it."""
        raise NotImplementedError

    def insert_due(self, jobs: Sequence[str]) -> None:
        """Insert jobs of chosen ids, in one statement; what is taken stays."""
        raise NotImplementedError

    def forget_known(self, worker_id: UUID) -> None:
        """Remove what the worker holds under a chosen id that the history has."""
        raise NotImplementedError

    def park(self, worker_id: UUID, ids: Sequence[UUID]) -> None:
        """Take back what a claim noted in the rows of jobs that it has parked."""
        raise NotImplementedError

    def weights(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return the bytes of the LARGE columns of jobs that the worker holds."""
        raise NotImplementedError

    def load(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
        """Return the LARGE columns of jobs that the worker holds."""
        raise NotImplementedError

    def take_one(self, worker_id: UUID, id: UUID) -> list[ClaimedJob]:
        """Claim this job, if it is ready and not locked."""
        raise NotImplementedError

    def set_aside(self, id: UUID, worker_id: UUID, record: dict[str, Any]) -> bool:
        """Move a job to the history as FAILED, whatever is in its row.

        It must not be held by another worker. Return whether it was moved.
        """
        raise NotImplementedError

    def next_due(self) -> NextDue:
        """Return what there is to do, and when."""
        raise NotImplementedError

    def heal(self) -> Losses:
        """Let workers meet jobs that are damaged so that no move would reach them.

        What is wrong with one is seen, and said, when it is claimed. The same look
        tells what has been lost.
        """
        raise NotImplementedError

    def may_fall_over(self, error: Error) -> bool:
        """Tell whether the server may have ended the session for this statement."""
        return False

    def refuses(self, error: Exception) -> bool:
        """Tell whether the database refuses these values, and would do so again.

        Whatever is not of the database is about the values, too.
        """
        of_the_database = OperationalError, InterfaceError, ProgrammingError
        return not isinstance(error, of_the_database)
