"""What all attempts of one worker have in common: the worker that holds their jobs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db import Error, connections

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import UNEXPLAINED, Outcome, Request
from dbqueue.jobs import events, outcomes
from dbqueue.maintenance.rescue import finished_by
from dbqueue.worker.process.connections import drop

ProgressNotes = Sequence[tuple[UUID, int, str]]  # (id, attempt, JSON) of running jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A worker as its attempts see it.

    `sender` is the backend's class, which Django's signals name. `record_now` records
    outcomes at once and returns the jobs whose claim still held, `note` takes progress;
    both are shaped like a Dialect's. `reraise` are exceptions that leave the attempt
    instead of failing the job.
    """

    worker_id: UUID
    database: str
    sender: type
    record_now: Callable[[UUID, Sequence[Outcome]], Collection[UUID]]
    note: Callable[[UUID, ProgressNotes], None]
    reraise: tuple[type[BaseException], ...] = ()
    # The jobs that somebody wants to stop, and their attempts.
    cancelled: dict[tuple[UUID, int], Request] = field(default_factory=dict)

    def is_cancelled(self, job: ClaimedJob) -> bool:
        """Tell whether the job, in this attempt, is to stop for good."""
        return (job.id, job.attempt) in self.cancelled

    def request_for(self, job: ClaimedJob) -> Request:
        """Return how that is explained by whoever wants it."""
        return self.cancelled.get((job.id, job.attempt), UNEXPLAINED)

    def record(self, outcome: Outcome) -> bool:
        """Record an outcome at once; return whether the claim still held."""
        return bool(self.record_now(self.worker_id, [outcome]))

    def has_ended(self, job: ClaimedJob) -> bool:
        """Tell whether an end of the job is committed that this worker has recorded."""
        ids = {job.id}
        try:
            return bool(finished_by(self.database, self.worker_id, ids))
        except Error:
            if connections[self.database].in_atomic_block:
                return False
            # It was interrupted in the middle of its commit, and can be used no more.
            drop(self.database)
            return bool(finished_by(self.database, self.worker_id, ids))

    def note_progress(self, job: ClaimedJob, text: str) -> None:
        """Note how far a job is, as JSON."""
        self.note(self.worker_id, [(job.id, job.attempt, text)])

    def refuse(self, job: ClaimedJob, error: BaseException) -> Outcome:
        """Return the outcome of a job that cannot be run at all."""
        outcome = outcomes.refused(job, self.worker_id, error)
        events.refused(job, self.worker_id, outcome, error)
        return outcome
