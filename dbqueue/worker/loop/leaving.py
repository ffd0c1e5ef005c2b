"""What is rare in a child's loop: its start, its end, and a job that does not stop."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from uuid import UUID

from django.db import Error

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.jobs import events, losses, outcomes
from dbqueue.jobs.results import unrun_result
from dbqueue.worker.loop.dispatch import Dispatch
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.process import memory, programs
from dbqueue.worker.process.connections import drop
from dbqueue.worker.process.pipes import Inbox
from dbqueue.worker.process.watchdog import Watchdog
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


def why_recycled(options: WorkerOptions, finished: int) -> ExitReason:
    if options.exit_at_max and is_worn_out(options, finished):
        return ExitReason.WORN_OUT
    return ExitReason.RECYCLED


def gives_up(worker_id: UUID, dispatch: Dispatch) -> bool:
    """End jobs that only the end of the process stops; return whether it has to."""
    running, ended = dispatch.deadlines.running, dispatch.pools.ended()
    culprits = dict(_culprits(dispatch))
    left: list[UUID] = []
    if ended:
        # As if a process had died in which only these ran.
        left = [i for i, entry in list(running.items()) if entry.thread in ended]
        culprits |= dict.fromkeys(left, "lost")
    for id, reason in culprits.items():
        if entry := running.get(id):  # or else it has ended, and left this behind
            beside = len(left) - 1 if reason == "lost" else 0
            dispatch.deadlines.end_programs(entry.job)
            _give_up(entry.job, reason, worker_id, dispatch, beside)
    return bool(culprits or ended) or dispatch.pools.are_broken()


def _culprits(dispatch: Dispatch) -> Iterator[tuple[UUID, str]]:
    loop = dispatch.pools.loop
    loop.watch()
    if blocker := loop.blocks_others():
        yield blocker, "blocked"
    for entry in dispatch.deadlines.interrupt_overdue():
        id = entry.job.id
        if entry.is_cancelled:
            yield id, "cancelled"
            continue
        _, pool = dispatch.completer.in_flight.get(id, (None, None))
        culprit = pool.to_blame(id) if pool else id
        if culprit is None:
            dispatch.deadlines.ask(entry)
        else:
            yield culprit, "timeout" if culprit == id else "blocked"


def _give_up(
    job: ClaimedJob, reason: str, worker_id: UUID, dispatch: Dispatch, beside: int
) -> None:
    message = "Job id=%s task=%s is given up (%s); replacing the child process"
    level = logging.INFO if reason == "cancelled" else logging.WARNING
    logger.log(level, message, job.id, job.task, _GIVEN_UP[reason])
    by, why = dispatch.holder.request_for(job)
    held = job.held_by(worker_id)._replace(cancelled_by=by, cancel_reason=why)
    outcome = outcomes.rescued(held, reason, beside=beside)
    error = losses.cause(held, reason) if outcome.failed else None
    result = partial(unrun_result, job, worker_id, outcome)
    events.rescued(held, outcome, error, result)
    dispatch.completer.done(job, outcome)


_GIVEN_UP = {
    "cancelled": "it was cancelled, and did not stop",
    "timeout": "it ignored its timeout",
    "blocked": "it blocks the event loop",
    "lost": "its thread has ended",
}


def abandon(child: ChildState, why: str) -> ExitReason:
    """Leave all jobs to other workers, which may have them already."""
    logger.error("Worker %s abandons its jobs: %s", child.worker_id, why)
    child.vacate_all()
    return ExitReason.ABANDONED


def release_all(dispatches: Sequence[Dispatch], watchdog: Watchdog) -> None:
    """Record what ended and release the rest, which counts as no failure."""
    # All others have begun, or ended a moment ago: their reports are collected next.
    waiting = set().union(*(dispatch.take_back() for dispatch in dispatches))
    completer = dispatches[0].completer
    completer.collect()
    completer.release_unfinished(completer.in_flight.keys() - waiting)
    # Before any of them may run elsewhere.
    programs.end_all()
    deadline = time.monotonic() + LAST_FLUSH
    while True:
        try:
            with watchdog.during():
                completer.flush()
                return completer.tally.write_if_due(at_once=True)
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
