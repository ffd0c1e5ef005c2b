"""The events of jobs and workers: one log line each, and a signal if it is received.

The log is asked by its level first, so that what it does not want costs one look.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from django.db import Error
from django.dispatch import Signal

from dbqueue import signals
from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import lines
from dbqueue.jobs.facts import JobEvent as JobEvent
from dbqueue.jobs.facts import WorkerEvent as WorkerEvent
from dbqueue.jobs.results import unrun_result
from dbqueue.models import Job, JobState, Worker
from dbqueue.tasks.framework import (
    BaseTaskBackend,
    InvalidTaskBackend,
    log_task_enqueued,
    log_task_finished,
    log_task_started,
    task_backends,
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


def has_receivers(signal: Signal, level: int = logging.NOTSET) -> bool:
    """Tell whether a signal of Django's has receivers beside its logger.

    `level` is that of the record which that would write; below its own, it is none. Of
    the end of our jobs it writes none at all.
    """
    if level and _django_logger.isEnabledFor(level):
        return True
    for key, *_ in signal.receivers:  # noqa: SIM110  any() takes as long as all the rest
        if key[0] not in _LOGGERS:
            return True
    return False


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


def enqueued(backend: type, results: Iterable[JobResult]) -> None:
    """Announce jobs that were written; Django's signal names the backend."""
    django, ours = has_receivers(task_enqueued, logging.DEBUG), signals.job_enqueued
    if not (django or ours.receivers):
        return
    for result in results:
        if django:
            task_enqueued.send(backend, task_result=result)
        if ours.receivers:
            event = JobEvent(
                id=UUID(result.id),
                task=result.task.module_path,
                queue_name=result.task.queue_name,
                attempt=0,
                state=result.state,
            )
            deliver(ours, Job, event=event)


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
    if outcome.state == JobState.READY:
        signal = signals.job_retried
    elif outcome.state == JobState.CANCELLED:
        signal = signals.job_cancelled
    else:
        signal = signals.job_finished
    _log_end(job, outcome, error)
    if signal.receivers:
        _send(signal, job, worker_id, outcome, error)


def refused(
    job: ClaimedJob,
    worker_id: UUID,
    outcome: Outcome,
    error: BaseException,
    *,
    announced: str | None = None,
) -> None:
    """Announce that a job cannot be run, or its end not stored, and so has FAILED.

    `announced` is the state that was announced for this attempt before: one that it
    comes in place of is announced again, one that it had already is not.
    """
    if announced == JobState.FAILED:
        logger.warning("Job id=%s task=%s: %s", job.id, job.task, error)
        return
    _log_end(job, outcome, error)
    _send(signals.job_finished, job, worker_id, outcome, error)
    finished(partial(unrun_result, job, worker_id, outcome))


def set_aside(id: UUID, error: Exception, result: Callable[[], JobResult]) -> None:
    """Announce that a job has FAILED whose row cannot be worked with."""
    logger.error("Job id=%s state=FAILED reason=broken", id, exc_info=error)
    finished(result)


def released(job: ClaimedJob, worker_id: UUID, outcome: Outcome) -> None:
    """Announce that a job which had begun was given back."""
    _log_end(job, outcome, level=logging.WARNING)
    _send(signals.job_released, job, worker_id, outcome)


def rescued(
    job: HeldJob,
    outcome: Outcome,
    error: BaseException | None,
    result: Callable[[], JobResult],
) -> None:
    """Announce that a job was taken from a worker that could not end it.

    `result` makes what receivers get of a job that has FAILED by that, or was
    cancelled.
    """
    # Lost beside others: no failure of its own yet, though it may be to blame.
    lost = "beside" in (outcome.record or {})
    _log_end(job, outcome, error, logging.WARNING if lost else logging.INFO)
    is_cancelled = outcome.state == JobState.CANCELLED
    signal = signals.job_cancelled if is_cancelled else signals.job_rescued
    _send(signal, job, job.worker_id, outcome, error)
    if outcome.state != JobState.READY:
        finished(result)


def finished(make: Callable[[], JobResult]) -> None:
    """Send Django's signal of an end that the attempt itself did not live to send."""
    if has_receivers(task_finished):
        try:
            result = make()
        except (Error, ValueError):
            logger.exception("task_finished was not sent")
            return
        sender = BaseTaskBackend
        with suppress(InvalidTaskBackend):  # the entry is gone from TASKS
            sender = type(task_backends[result.backend])
        deliver(task_finished, sender, task_result=result)


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


def _log_end(
    job: ClaimedJob | HeldJob,
    outcome: Outcome,
    error: BaseException | None = None,
    level: int = logging.INFO,  # of what is no failure
) -> None:
    if outcome.failed:
        again = outcome.state == JobState.READY
        level = logging.WARNING if again else logging.ERROR
    if logger.isEnabledFor(level):
        words, values, extra = lines.end(job, outcome)
        failure = error if outcome.failed else None
        logger.log(level, words, *values, exc_info=failure, extra=extra)


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
            reason=outcome.reason,
            worker_id=worker_id,
            duration=outcome.duration,
            delay=outcome.delay,
            error=error,
        )
        deliver(signal, Job, event=event)
