"""Who holds a claimed job: what all attempts of one worker have in common."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import events, outcomes


class Recorder(Protocol):
    """Where outcomes are recorded at once, such as a Dialect."""

    def record(
        self, worker_id: UUID, outcomes: Sequence[Outcome]
    ) -> Collection[UUID]: ...


class ProgressNotes(Protocol):
    """Where (id, attempt, JSON) of running jobs is noted, such as a Dialect."""

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None: ...


def _nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A worker as its attempts see it.

    `sender` is the backend's class, which Django's signals name. `before_record` is
    called in the job's transaction before an outcome is recorded in it. `reraise` are
    exceptions that leave the attempt instead of failing the job.
    """

    worker_id: UUID
    database: str
    sender: type
    recorder: Recorder
    progress: ProgressNotes
    before_record: Callable[[], None] = _nothing
    reraise: tuple[type[BaseException], ...] = ()

    def record(self, outcome: Outcome) -> bool:
        """Record an outcome at once; return whether the claim still held."""
        self.before_record()
        return bool(self.recorder.record(self.worker_id, [outcome]))

    def note_progress(self, job: ClaimedJob, text: str) -> None:
        """Note how far a job is, as JSON."""
        self.progress.note_progress(self.worker_id, [(job.id, job.attempt, text)])

    def refuse(self, job: ClaimedJob, error: BaseException) -> Outcome:
        """Return the outcome of a job that cannot be run at all."""
        outcome = outcomes.refused(job, self.worker_id, error)
        events.refused(job, self.worker_id, outcome, error)
        return outcome
