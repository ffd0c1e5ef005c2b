"""How attempts end: one named maker for each way, and the record that each leaves."""

import logging
from datetime import datetime
from traceback import format_exception
from typing import Any
from uuid import UUID

from django.db import Error
from django.utils import timezone

from dbqueue import backoff, dialects
from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.dialects.rows import Outcome, Request
from dbqueue.exceptions import (
    Cancel,
    InstanceGone,
    InvalidPayload,
    Retry,
    TaskTimeout,
    UserVisibleError,
)
from dbqueue.jobs import losses
from dbqueue.jobs.tracebacks import fold, told
from dbqueue.models import JobState
from dbqueue.tasks import payload
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task

logger = logging.getLogger(__name__)

TRACEBACK_LENGTH = 8_000  # characters of its traceback, from the end
_CANCELLED = "It was cancelled while it ran."
# Times that the database may refuse an atomic job's transaction; the next is a failure.
MOST_SERIALIZATION_FAILURES = 20


def succeeded(job: ClaimedJob, result: str, duration: float) -> Outcome:
    """Return the outcome of a job that returned; `result` is JSON text."""
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=JobState.SUCCESSFUL,
        result=result,
        duration=duration,
        gate=job.fair_group or job.lane,
    )


def raised(
    job: ClaimedJob,
    task: Task[..., Any],
    worker_id: UUID,
    error: BaseException,
    *,
    database: str,
    result: JobResult | None,
) -> Outcome:
    """Return the outcome for an exception; called while it is being handled.

    `result` is what the task's own backoff is shown, None if the row was damaged.
    """
    if isinstance(error, Retry):
        return _ended(job, worker_id, "READY", "snoozed", error, delay=error.after)
    if isinstance(error, Cancel):
        outcome = _ended(job, worker_id, "CANCELLED", "cancelled", error)
        if error.request is not None and outcome.record is not None:
            outcome.record |= error.request.noted()
        return outcome
    soon = _serialization_delay(job, task, error, database)
    if soon is not None:
        return _ended(job, worker_id, "READY", "released", error, delay=soon)
    reason = "timeout" if isinstance(error, TaskTimeout) else "failed"
    delay = _delay(job, task, result, error)
    state = "FAILED" if delay is None else "READY"
    return _ended(job, worker_id, state, reason, error, failed=1, delay=delay or 0.0)


def as_cancel(error: BaseException, request: Request) -> Cancel:
    """Return what a job ends by that was cancelled while it ran, and raised this."""
    if isinstance(error, Cancel):
        cancel = error
        cancel.args = cancel.args or (_CANCELLED,)
    else:
        cancel = Cancel(_CANCELLED)
        cancel.__cause__ = error
    cancel.request = request
    return cancel


def refused(job: ClaimedJob, worker_id: UUID, error: BaseException) -> Outcome:
    """Return the outcome of a job that cannot be run, or stored, at all."""
    return _ended(job, worker_id, "FAILED", "failed", error, failed=1)


def untouched(job: ClaimedJob, *, delay: float = 0.0) -> Outcome:
    """Return the outcome of a job that goes back as it came, `delay` in seconds."""
    state = JobState.READY
    return Outcome(
        id=job.id, attempt=job.attempt, state=state, delay=delay, gate=job.gate
    )


def released(job: ClaimedJob, worker_id: UUID) -> Outcome:
    """Return the outcome of a job that is stopped by no fault of its own."""
    outcome = untouched(job)
    outcome.record = _record(job, worker_id, "released")
    return outcome


def rescued(job: HeldJob, reason: str, *, beside: int = 0) -> Outcome:
    """Return the outcome of an attempt that its worker did not bring to an end.

    `reason` "lost", "timeout" and "blocked" (a timeout, too: of others) count a
    failure, "released" counts none. `beside` is how many others had begun in a process
    that was lost. Only one of them is to blame: each is released, to run alone next.
    "cancelled" ends it, as does any reason a job that somebody has cancelled.
    """
    if reason == "cancelled" or job.cancelled_at is not None:
        return _cancelled(job)
    why, delay, together = reason, _pause(reason, job.failures), losses.together(job)
    if reason == "lost" and beside and together < losses.MOST_TOGETHER:
        reason, delay = "released", _pause("lost", together)
    elif reason == "blocked":
        reason = "timeout"
    failed = 0 if reason == "released" else 1
    final = failed and job.failures + failed >= job.max_attempts
    record = _record(job, job.worker_id, reason)
    if beside:
        record["beside"] = beside
    error = losses.cause(job, why if failed else reason)
    if error is not None:
        record |= told(error) | {"traceback": ""}
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=JobState.FAILED if final else JobState.READY,
        record=record,
        failed=failed,
        delay=delay,
        gate=job.gate,
    )


def _cancelled(job: HeldJob) -> Outcome:
    record = _record(job, job.worker_id, "cancelled")
    record |= told(Cancel(_CANCELLED)) | {"traceback": ""}
    record |= Request(job.cancelled_by or "", job.cancel_reason or "").noted()
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=JobState.CANCELLED,
        record=record,
        gate=job.gate,
    )


def _pause(reason: str, failures: int) -> float:
    if reason in ("timeout", "blocked"):  # it would hang again
        return backoff.exponential(failures + 1)
    if reason == "lost" and failures:
        # Once, it was perhaps an accident. What is lost again comes back apart, where
        # it could not run alone.
        return backoff.exponential(failures, base=1.0, cap=30.0)
    return 0.0


def _serialization_delay(
    job: ClaimedJob, task: Task[..., Any], error: BaseException, database: str
) -> float | None:
    """Return when the database may get an atomic job's transaction once more.

    None if it did not ask for that, or has asked too often.
    """
    if not (task.atomic and isinstance(error, Error) and task.may_retry(error)):
        return None
    if not dialects.of(database).is_serialization_failure(error):
        return None
    before = sum(
        entry.get("reason") == "released" and "message" in entry
        for entry in losses.since_retry(job)
    )
    if before >= MOST_SERIALIZATION_FAILURES:
        return None
    return backoff.exponential(before + 1, base=0.05, factor=2.0, cap=10.0)


def _delay(
    job: ClaimedJob,
    task: Task[..., Any],
    result: JobResult | None,
    error: BaseException,
) -> float | None:
    """Return the seconds until the next attempt, or None if this was the last."""
    failures = job.failures + 1
    # What cannot be written or read will be no better next time.
    final = isinstance(error, InvalidPayload | InstanceGone) or not task.may_retry(
        error
    )
    if final or failures >= job.max_attempts:
        return None
    try:
        return backoff.delay(
            task.backoff, failures=failures, exception=error, result=result
        )
    except Exception:
        logger.exception("The backoff of task=%s raised", job.task)
        return backoff.exponential(failures)


def _ended(
    job: ClaimedJob,
    worker_id: UUID,
    state: str,
    reason: str,
    error: BaseException,
    *,
    failed: int = 0,
    delay: float = 0.0,
) -> Outcome:
    fold(error)
    record, said = _record(job, worker_id, reason), told(error)
    if reason in ("snoozed", "released"):
        record["message"] = said["message"]
    else:
        trace = payload.printable("".join(format_exception(error)))
        record |= said | {"traceback": trace[-TRACEBACK_LENGTH:]}
    if isinstance(error, UserVisibleError):
        record["visible"] = True
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=JobState(state),
        record=record,
        failed=failed,
        delay=delay,
        gate=job.gate,
    )


def _record(job: ClaimedJob | HeldJob, worker_id: UUID, reason: str) -> dict[str, Any]:
    """Return the entry of the attempt log for an attempt that did not succeed."""
    began: datetime | None = job.last_attempted_at
    return {
        "attempt": job.attempt,
        "worker": str(worker_id),
        # A row that was damaged may say that it runs, and not since when.
        "started_at": (began or timezone.now()).isoformat(),
        "ended_at": timezone.now().isoformat(),
        "reason": reason,
    }
