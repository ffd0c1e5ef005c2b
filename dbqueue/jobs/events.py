"""The events of jobs and workers: one log line each, and a signal if it is received.

The log is asked by its level first, so that what it does not want costs one look.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from django.dispatch import Signal

from dbqueue import signals
from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.dialects.rows import Outcome
from dbqueue.models import Job, JobState, Worker
from dbqueue.tasks.framework import (
    log_task_enqueued,
    log_task_finished,
    log_task_started,
    task_enqueued,
    task_finished,
    task_started,
)
from dbqueue.tasks.results import JobResult

logger = logging.getLogger(__name__)

# Django's own receivers, which write log records and do nothing else.
_LOGGERS = {id(log_task_enqueued), id(log_task_started), id(log_task_finished)}
# What is sent when an attempt begins and ends.
_OF_ATTEMPTS = (
    task_started,
    task_finished,
    signals.job_started,
    signals.job_finished,
    signals.job_cancelled,
    signals.job_retried,
)
_django_logger = logging.getLogger(log_task_enqueued.__module__.rpartition(".")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What happened to a job."""

    id: UUID
    task: str  # a dotted path
    queue_name: str
    attempt: int  # how often the job was claimed
    state: str  # the JobState that it is in now
    reason: str = ""  # failed, timeout, lost, released, snoozed, cancelled
    worker_id: UUID | None = None
    duration: float | None = None  # seconds that the attempt ran
    delay: float = 0.0  # seconds until the next attempt
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent:
    """What happened to a worker."""

    id: UUID
    name: str
    host: str
    pid: int
    queues: str

    @classmethod
    def of_this_process(cls, id: UUID, name: str, queues: str) -> Self:
        pid, host = os.getpid(), socket.gethostname()
        return cls(id=id, name=name, host=host, pid=pid, queues=queues)


def has_receivers(signal: Signal, level: int) -> bool:
    """Tell whether a signal of Django's has receivers beside its logger.

    `level` is that of the record which that would write; below its own, it is none.
    """
    if _django_logger.isEnabledFor(level):
        return True
    return any(key[0] not in _LOGGERS for key, *_ in signal.receivers)


def are_only_logged() -> bool:
    """Tell whether no receiver but Django's logger hears of attempts."""
    return not any(
        key[0] not in _LOGGERS
        for signal in _OF_ATTEMPTS
        for key, *_ in signal.receivers
    )


def deliver(signal: Signal, sender: object, **named: Any) -> None:
    """Send a signal; whatever its receivers raise is logged and disturbs nothing.

    Not to be called on an event loop: a receiver may use the ORM, or be async.
    """
    try:
        signal.send_robust(sender, **named)
    # It lets one pass that exits.
    except (Exception, SystemExit, asyncio.CancelledError):
        logger.exception("A receiver failed; those after it were not called")


def enqueued(backend: type, results: Sequence[JobResult]) -> None:
    """Announce jobs that were written; Django's signal names the backend."""
    if has_receivers(task_enqueued, logging.DEBUG):
        for result in results:
            task_enqueued.send(backend, task_result=result)
    if signals.job_enqueued.receivers:
        for result in results:
            event = JobEvent(
                id=UUID(result.id),
                task=result.task.module_path,
                queue_name=result.task.queue_name,
                attempt=0,
                state=result.state,
            )
            deliver(signals.job_enqueued, Job, event=event)


def started(job: ClaimedJob, worker_id: UUID) -> None:
    """Announce that an attempt begins; Django's logger writes the line of it."""
    if signals.job_started.receivers:
        running = Outcome(id=job.id, attempt=job.attempt, state=JobState.RUNNING)
        _send(signals.job_started, job, worker_id, running)


def ended(
    job: ClaimedJob,
    worker_id: UUID,
    outcome: Outcome,
    error: BaseException | None = None,
) -> None:
    """Announce how an attempt ended; if it raised, inside the except block."""
    failed, state = bool(outcome.failed), str(outcome.state)
    if state == JobState.READY:
        signal, state = signals.job_retried, "RETRY"
        level = logging.WARNING if failed else logging.INFO
    else:
        is_cancel = state == JobState.CANCELLED
        signal = signals.job_cancelled if is_cancel else signals.job_finished
        level = logging.ERROR if failed else logging.INFO
    if logger.isEnabledFor(level):
        _log_end(level, job, outcome, state)
    _send(signal, job, worker_id, outcome, error)


def refused(
    job: ClaimedJob, worker_id: UUID, outcome: Outcome, error: BaseException
) -> None:
    """Announce that a job cannot be run at all, and has FAILED."""
    logger.error("Job id=%s task=%s refused", job.id, job.task, exc_info=error)
    _send(signals.job_finished, job, worker_id, outcome, error)


def released(job: ClaimedJob, worker_id: UUID, outcome: Outcome) -> None:
    """Announce that a job which had begun was given back."""
    logger.warning("Job id=%s task=%s released", job.id, job.task)
    _send(signals.job_released, job, worker_id, outcome)


def rescued(job: HeldJob, outcome: Outcome) -> None:
    """Announce that a job was taken from a worker that could not end it."""
    logger.log(
        logging.WARNING if outcome.failed else logging.INFO,
        "Job rescued id=%s task=%s attempt=%s reason=%s state=%s",
        job.id,
        job.task,
        job.attempt,
        _reason(outcome),
        outcome.state,
    )
    _send(signals.job_rescued, job, job.worker_id, outcome)


def worker_ready(event: WorkerEvent) -> None:
    logger.debug("Worker ready name=%s id=%s", event.name, event.id)
    deliver(signals.worker_ready, Worker, event=event)


def worker_stopping(event: WorkerEvent) -> None:
    logger.debug("Worker stopping name=%s id=%s", event.name, event.id)
    deliver(signals.worker_stopping, Worker, event=event)


def worker_lost(worker: Worker) -> None:
    """Announce a worker whose lease is over."""
    logger.warning(
        "Worker lost name=%s id=%s last_seen=%s",
        worker.name,
        worker.pk,
        worker.last_seen.isoformat(),
    )
    facts = {name: getattr(worker, name) for name in WorkerEvent.__slots__}
    deliver(signals.worker_lost, Worker, event=WorkerEvent(**facts))


def _log_end(level: int, job: ClaimedJob, outcome: Outcome, state: str) -> None:
    milliseconds = (outcome.duration or 0.0) * 1000
    extra = {
        "job_id": str(job.id),
        "task": job.task,
        "queue": job.queue_name,
        "attempt": job.attempt,
        "state": state,
        "duration_ms": round(milliseconds, 1),
    }
    if state == "RETRY":
        extra["delay"] = outcome.delay
    logger.log(
        level,
        "Job id=%s task=%s queue=%s attempt=%s state=%s duration_ms=%.1f",
        *(job.id, job.task, job.queue_name, job.attempt, state, milliseconds),
        # Django's logger writes the traceback of a final failure.
        exc_info=level == logging.WARNING,
        extra=extra,
    )


def _send(
    signal: Signal,
    job: ClaimedJob | HeldJob,
    worker_id: UUID,
    outcome: Outcome,
    error: BaseException | None = None,
) -> None:
    if signal.receivers:
        is_delayed = outcome.state == JobState.READY and outcome.delay > 0
        event = JobEvent(
            id=job.id,
            task=job.task,
            queue_name=job.queue_name,
            attempt=job.attempt,
            state=str(JobState.SCHEDULED if is_delayed else outcome.state),
            reason=_reason(outcome),
            worker_id=worker_id,
            duration=outcome.duration,
            delay=outcome.delay,
            error=error,
        )
        deliver(signal, Job, event=event)


def _reason(outcome: Outcome) -> str:
    return "" if outcome.record is None else str(outcome.record["reason"])
