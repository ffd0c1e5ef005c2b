"""What is told of moves: a log line and a signal for each job, and hints to workers."""

import logging
from collections.abc import Sequence
from functools import partial

from django.db import connections

from dbqueue import signals
from dbqueue.dialects.gates import NEWS
from dbqueue.dialects.rows import UNEXPLAINED, MovedJob, Request
from dbqueue.jobs import events, lines, wakeup
from dbqueue.jobs.facts import JobEvent
from dbqueue.jobs.results import finished_result
from dbqueue.models import Job, JobState

logger = logging.getLogger(__name__)

# What is an end, and for what reason.
ENDS = {"cancel": "cancelled", "expire": "expired"}


def tell(
    alias: str, move: str, jobs: Sequence[MovedJob], request: Request = UNEXPLAINED
) -> None:
    """Announce the move of each job when it is committed."""
    if not jobs:
        return
    connection = connections[alias]
    announce = partial(_announce, alias, move, jobs, request)
    if connection.in_atomic_block or connection.get_autocommit():
        # Not transaction.on_commit(), which tests replace by something of theirs.
        connection.on_commit(announce)
    else:  # in a transaction by hand nothing tells of the commit
        announce()


def _announce(
    alias: str, move: str, jobs: Sequence[MovedJob], request: Request
) -> None:
    for job in jobs:
        _log(move, job, request)
        _send(move, job)
        if job.state == JobState.CANCELLED and move in ENDS:
            events.finished(partial(finished_result, alias, job.id))
    for queue in {_hint(job) for job in jobs} - {None}:
        wakeup.announce(alias, str(queue))


def _hint(job: MovedJob) -> str | None:
    if job.state == JobState.READY:
        return job.queue_name
    if job.gate is not None:  # it waits there, or has left room
        return NEWS + job.gate
    return wakeup.SCHEDULE if job.state == JobState.SCHEDULED else None


def _log(move: str, job: MovedJob, request: Request) -> None:
    if logger.isEnabledFor(logging.INFO):
        extra = {
            "job_id": str(job.id),
            "task": job.task,
            "queue": job.queue_name,
            "attempt": job.attempt,
            "state": job.state,
            "move": move,
        }
        extra |= request.noted()
        words = "Job id=%s task=%s queue=%s attempt=%s state=%s move=%s"
        words += lines.in_words(request.noted())
        logger.info(words, *extra.values(), extra=extra)


def _send(move: str, job: MovedJob) -> None:
    signal = signals.job_cancelled if move in ENDS else signals.job_moved
    if signal.receivers:
        event = JobEvent(
            id=job.id,
            task=job.task,
            queue_name=job.queue_name,
            attempt=job.attempt,
            state=job.state,
            reason=ENDS.get(move, move),
        )
        events.deliver(signal, Job, event=event)
