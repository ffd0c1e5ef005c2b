"""What is rare in a child's loop: its start, its end, and a job that does not stop."""

import logging
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.db import Error

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.jobs import events, outcomes
from dbqueue.jobs.results import unrun_result
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.process import memory, programs
from dbqueue.worker.process.connections import drop
from dbqueue.worker.process.pipes import Inbox
from dbqueue.worker.process.watchdog import Watchdog
from dbqueue.worker.run.pools import Pools
from dbqueue.worker.shared import ChildState, ExitReason

logger = logging.getLogger(__name__)

# Seconds a stopping child tries to record what ended; it is killed after five.
LAST_FLUSH = 3.0


def has_started(
    child: ChildState, inbox: Inbox, is_stopping: Callable[[], bool]
) -> bool:
    """Wait for the keeper's first heartbeat; return False if told to stop before it."""
    while not child.beat:
        inbox.wait(0.01)
        if is_stopping() or inbox.orphaned:
            return False
    return True


def is_worn_out(options: WorkerOptions, finished: int) -> bool:
    """Tell whether the child has run enough jobs, or uses too much memory."""
    if options.max_jobs is not None and finished >= options.max_jobs:
        return True
    # Before its first job it would be no smaller the next time.
    limit = options.max_rss if finished else None
    return limit is not None and memory.resident() > limit


def give_up(job: ClaimedJob, worker_id: UUID, completer: Completer) -> None:
    """End a job that did not stop at its timeout; only the process's end stops it."""
    message = "Job id=%s task=%s ignored its timeout; replacing the child process"
    logger.warning(message, job.id, job.task)
    held = job.held_by(worker_id)
    outcome = outcomes.rescued(held, "timeout")
    result = partial(unrun_result, job, worker_id, outcome)
    events.rescued(held, outcome, outcomes.cause(held, "timeout"), result)
    completer.done(job, outcome)


def abandon(child: ChildState, why: str) -> ExitReason:
    """Leave all jobs to other workers, which may have them already."""
    logger.error("Worker %s abandons its jobs: %s", child.worker_id, why)
    child.vacate_all()
    return ExitReason.ABANDONED


def release_all(completer: Completer, pools: Pools, watchdog: Watchdog) -> None:
    """Record what ended and release the rest, which counts as no failure."""
    # All others have begun, or ended a moment ago: their reports are collected next.
    waiting = {job.id for job in pools.take_back()}
    completer.collect()
    completer.release_unfinished(completer.in_flight.keys() - waiting)
    # Before any of them may run elsewhere.
    programs.end_all()
    deadline = time.monotonic() + LAST_FLUSH
    while True:
        try:
            with watchdog.during():
                return completer.flush()
        except Error as error:
            if time.monotonic() > deadline:
                logger.error(
                    "Could not record outcomes before exit; another worker will "
                    "rescue these jobs: %s",
                    error,
                )
                return None
            drop(watchdog.alias)
            time.sleep(0.1)
