"""A job run in a process of an engine, whatever becomes of its outcome."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID
from weakref import WeakSet

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.jobs import outcomes
from dbqueue.tasks import defaults, registry, timing
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.run import contexts
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.deadlines import Deadlines, Running, ThreadLimit
from dbqueue.worker.run.holder import Holder

logger = logging.getLogger(__name__)

# Seconds that a job waits again whose task this process does not know.
UNKNOWN = 60.0
_STOPPED = ("timeout", "cancelled")
# Of this process: one for each engine whose jobs it runs.
_all: WeakSet[Deadlines] = WeakSet()


class Place(Protocol):
    """Where jobs run: what holds them, and what asks them to stop."""

    @property
    def holder(self) -> Holder: ...

    @property
    def deadlines(self) -> Deadlines: ...


def share_limits(deadlines: Deadlines) -> None:
    """Let time_limit() reach the jobs of all places that this process has."""
    _all.add(deadlines)
    timing.limiters[:] = [_limiting]


def run(job: ClaimedJob, place: Place) -> Outcome | None:
    """Run the job here; return its outcome, None if nothing is left to record."""
    try:
        task = registry.resolve(job.task)
    except TaskNotFound as error:
        logger.warning(
            "Job id=%s waits for a worker that knows its task: %s", job.id, error
        )
        return outcomes.untouched(job, delay=UNKNOWN)
    except TaskNotAllowed as error:
        return place.holder.refuse(job, error)
    placed = defaults.placed(task, job.queue_name, job.backend)
    attempt = Attempt(job, placed, place.holder)
    make = _run_async if placed.is_async else _run_sync
    connections.renew()
    try:
        return make(attempt, job, placed, place.deadlines)
    except BaseException as error:  # a mistake of ours must not leave it RUNNING
        return place.holder.refuse(job, error)
    finally:
        connections.tidy()


@contextmanager
def _limiting(job_id: UUID, seconds: float) -> Iterator[None]:
    for deadlines in list(_all):
        if job_id in deadlines.running:
            with deadlines.limiting(job_id, seconds):
                yield
            return
    yield


def _run_sync(
    attempt: Attempt, job: ClaimedJob, task: Task[..., Any], deadlines: Deadlines
) -> Outcome | None:
    limit = ThreadLimit()
    deadlines.begin(job, task.seconds_allowed, limit.fire, limit.thread)
    try:
        outcome = contexts.base().run(attempt.run, limit)
        if outcome is not None and outcome.reason in _STOPPED:
            deadlines.end_programs(job)
        return outcome
    finally:
        deadlines.end(job)


def _run_async(
    attempt: Attempt, job: ClaimedJob, task: Task[..., Any], deadlines: Deadlines
) -> Outcome | None:
    async def run() -> Outcome | None:
        loop = asyncio.get_running_loop()

        def interrupt(entry: Running) -> None:
            if entry.is_cancelled:  # the timeout itself is asyncio's
                loop.call_soon_threadsafe(attempt.cancel)

        deadlines.begin(job, task.seconds_allowed, interrupt)
        try:
            return await attempt.arun()
        finally:
            deadlines.end(job)

    return contexts.base().run(asyncio.run, run())
