"""What becomes of a job whose attempt raised: it ends, or it waits for the next one."""

import json
import logging
from typing import Any
from uuid import UUID

from django.db import Error

from dbqueue import backoff
from dbqueue.dialects.base import Dialect
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.exceptions import Cancel, InvalidPayload, Retry, TaskTimeout
from dbqueue.models import JobState, entries
from dbqueue.results import JobResult
from dbqueue.tasks import Task
from dbqueue.worker.records import ending_record

logger = logging.getLogger(__name__)

# How often an atomic job may be refused by the database before that is its failure.
REFUSALS = 20


def verdict(
    job: ClaimedJob,
    task: Task[..., Any],
    worker_id: UUID,
    result: JobResult | None,
    error: BaseException,
    dialect: Dialect,
) -> Outcome:
    """Return the outcome for an exception; called while it is being handled.

    `result` is what the task's own backoff is shown, None if the row was damaged.
    """
    if isinstance(error, Retry):
        return _ended(
            job, worker_id, JobState.READY, "snoozed", error, delay=error.after
        )
    if isinstance(error, Cancel):
        return _ended(job, worker_id, JobState.CANCELLED, "cancelled", error)
    if _was_refused(job, task, error, dialect):
        soon = backoff.exponential(_refusals(job) + 1, base=0.05, factor=2.0, cap=10.0)
        return _ended(job, worker_id, JobState.READY, "released", error, delay=soon)
    reason = "timeout" if isinstance(error, TaskTimeout) else "failed"
    delay = _delay(job, task, result, error)
    state = JobState.FAILED if delay is None else JobState.READY
    return _ended(job, worker_id, state, reason, error, failed=1, delay=delay or 0.0)


def _was_refused(
    job: ClaimedJob, task: Task[..., Any], error: BaseException, dialect: Dialect
) -> bool:
    """Tell whether the database wants the transaction of an atomic job once more."""
    return (
        task.atomic
        and isinstance(error, Error)
        and dialect.is_refused(error)
        and task.may_retry(error)
        and _refusals(job) < REFUSALS
    )


def _refusals(job: ClaimedJob) -> int:
    """Return how often the job was refused before: released, with a message."""
    log = entries(json.loads(job.attempt_log))
    return sum(
        entry.get("reason") == "released" and "message" in entry for entry in log
    )


def _delay(
    job: ClaimedJob,
    task: Task[..., Any],
    result: JobResult | None,
    error: BaseException,
) -> float | None:
    """Return the seconds until the next attempt, or None if this was the last."""
    failures = job.failures + 1
    # What cannot be written or read as JSON will be no better next time.
    final = isinstance(error, InvalidPayload) or not task.may_retry(error)
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
    record = ending_record(job, worker_id, reason, error)
    if reason in ("snoozed", "released"):
        for key in ("exception", "traceback"):
            del record[key]
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=state,
        record=record,
        failed=failed,
        delay=delay,
    )
