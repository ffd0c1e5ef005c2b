"""What the database refuses, and would refuse again: found by halves, and ended alone.

An outage is none of this: whatever fails then is asked once more.
"""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import DatabaseError

from dbqueue.dialects import Dialect
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.loading import loaded
from dbqueue.dialects.rows import Outcome, QueueHead
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs import events, outcomes
from dbqueue.jobs.refusals import set_aside
from dbqueue.maintenance.halves import of_halves

logger = logging.getLogger(__name__)

Confirm = Callable[[list[Outcome], set[UUID]], None]
Job = Callable[[UUID], ClaimedJob]


class Refusals:
    """Records what a batch could not, and claims what a claim could not.

    `job` returns a job in flight, `confirm` takes note of outcomes that are recorded.
    """

    def __init__(
        self, dialect: Dialect, worker_id: UUID, job: Job, confirm: Confirm
    ) -> None:
        self._dialect = dialect
        self._worker_id = worker_id
        self._job = job
        self._confirm = confirm

    def record(self, batch: list[Outcome]) -> None:
        """Record all but the outcomes that the database refuses; their jobs FAIL."""

        def some(outcomes: Sequence[Outcome]) -> None:
            recorded = self._dialect.record(self._worker_id, outcomes)
            self._confirm(list(outcomes), recorded)

        of_halves(self._dialect, batch, some, self._end)

    def claim(self, heads: Sequence[QueueHead], error: Exception) -> list[ClaimedJob]:
        """Claim the first job of each queue; what the database refuses has FAILED.

        Raises DatabaseError if that leads nowhere.
        """
        jobs, failed = [], False
        for head in heads:
            try:
                taken = self._dialect.take_one(self._worker_id, head.id)
            except Exception as refusal:
                if not self._dialect.refuses(refusal):
                    raise
                failed |= self._set_aside(head.id, refusal)
            else:
                jobs += loaded(self._dialect, self._worker_id, taken)
        if not (jobs or failed):
            raise DatabaseError(f"Jobs cannot be claimed: {error}") from error
        return jobs

    def _end(self, outcome: Outcome, error: Exception) -> None:
        job = self._job(outcome.id)
        reason = InvalidPayload(f"The database refused the outcome: {error}")
        plain = outcomes.refused(job, self._worker_id, reason)
        try:
            recorded = self._dialect.record(self._worker_id, [plain])
        except Exception as again:
            if not self._dialect.refuses(again):
                raise
            # A row that no outcome can be added to, as with numbers out of range.
            recorded = {outcome.id} if self._set_aside(outcome.id, again) else set()
        else:
            events.refused(job, self._worker_id, plain, reason, announced=outcome.state)
        self._confirm([outcome], recorded)

    def _set_aside(self, id: UUID, error: Exception) -> bool:
        """Move the row to the history as FAILED; return whether that was possible."""
        try:
            return set_aside(self._dialect, id, self._worker_id, error)
        except Exception as again:
            if not self._dialect.refuses(again):
                raise
            logger.error("Job id=%s can be neither run nor ended: %s", id, again)
            return False
