"""What is written of an attempt that did not succeed."""

from traceback import format_exception
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue import payload
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.models import JobState

MESSAGE_LENGTH = 500  # characters of an exception's message that are kept
TRACEBACK_LENGTH = 8_000  # characters of its traceback, from the end


def untouched(job: ClaimedJob) -> Outcome:
    """Return the outcome of a job that goes back as it came."""
    return Outcome(id=job.id, attempt=job.attempt, state=JobState.READY)


def released(job: ClaimedJob, worker_id: UUID) -> Outcome:
    """Return the outcome of a job that is stopped by no fault of its own."""
    outcome = untouched(job)
    outcome.record = ending_record(job, worker_id, "released")
    return outcome


def ending_record(
    job: ClaimedJob, worker_id: UUID, reason: str, error: BaseException | None = None
) -> dict[str, Any]:
    """Return the entry of the attempt log for an attempt that did not succeed."""
    record = {
        "attempt": job.attempt,
        "worker": str(worker_id),
        "started_at": job.last_attempted_at.isoformat(),
        "ended_at": timezone.now().isoformat(),
        "reason": reason,
    }
    if error is not None:
        kind = type(error)
        record["exception"] = f"{kind.__module__}.{kind.__qualname__}"
        record["message"] = payload.printable(_text(error))[:MESSAGE_LENGTH]
        trace = payload.printable("".join(format_exception(error)))
        record["traceback"] = trace[-TRACEBACK_LENGTH:]
    return record


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # a stranger's __str__
        return f"<{type(error).__name__} that cannot be printed>"
