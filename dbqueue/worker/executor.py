"""Runs ONE claimed job: prepare, call, record. Knows no loop and no buffer."""

import contextvars
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync

from dbqueue import payload
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.models import JobState
from dbqueue.tasks import Task
from dbqueue.worker.attempt import Attempt, within
from dbqueue.worker.records import ending_record

logger = logging.getLogger(__name__)


class Executor:
    """Runs jobs for one worker.

    `settle` records an outcome at once and returns whether the claim still held.
    `sender` is the backend's class, which Django's signals name. `reraise` are
    exceptions that leave the executor instead of failing the job.
    """

    def __init__(
        self,
        database: str,
        worker_id: UUID,
        settle: Callable[[Outcome], bool],
        sender: type,
        note_progress: Callable[[ClaimedJob, str], None],
        reraise: tuple[type[BaseException], ...] = (),
    ) -> None:
        self.database = database
        self.worker_id = worker_id
        self.settle = settle
        self.sender = sender
        self.note_progress = note_progress
        self.reraise = reraise

    def execute(
        self,
        job: ClaimedJob,
        task: Task[..., Any],
        limit: AbstractContextManager[Any] | None = None,
    ) -> Outcome | None:
        """Run a sync job in this thread and return its outcome.

        `limit` surrounds the call alone and may interrupt it. None means that nothing
        is left to record: an atomic job committed, or lost its claim.
        """
        return contextvars.Context().run(self._execute, job, task, limit)

    def run(self, job: ClaimedJob, task: Task[..., Any]) -> Outcome | None:
        """Run a job of either kind in this thread, to its end."""
        if task.is_async:
            return contextvars.Context().run(async_to_sync(self.aexecute), job, task)
        return self.execute(job, task)

    async def aexecute(self, job: ClaimedJob, task: Task[..., Any]) -> Outcome | None:
        """Run an async job on this event loop; its own context is the caller's task."""
        attempt = self._attempt(job, task)
        try:
            function, args, kwargs = attempt.begin()
            value = await within(task.seconds_allowed, function(*args, **kwargs))
            result = payload.result(value)
        except BaseException as error:  # as in _execute()
            return attempt.failed(error)
        return attempt.succeeded(result)

    def refuse(self, job: ClaimedJob, error: BaseException) -> Outcome:
        """Return the outcome of a job that cannot be run at all."""
        logger.error("Job id=%s task=%s refused", job.id, job.task, exc_info=error)
        record = ending_record(job, self.worker_id, "failed", error)
        return Outcome(
            id=job.id,
            attempt=job.attempt,
            state=JobState.FAILED,
            record=record,
            failed=1,
        )

    def _execute(
        self,
        job: ClaimedJob,
        task: Task[..., Any],
        limit: AbstractContextManager[Any] | None,
    ) -> Outcome | None:
        attempt = self._attempt(job, task)
        try:
            function, args, kwargs = attempt.begin()
            call = partial(function, *args, **kwargs)
            with limit or nullcontext():
                result = attempt.atomically(call) if task.atomic else attempt.make(call)
        # The job is a stranger's code: whatever it raises, SystemExit and worse, must
        # end the job and not the thread, or the job would stay RUNNING for ever.
        except BaseException as error:
            return attempt.failed(error)
        return attempt.succeeded(result)

    def _attempt(self, job: ClaimedJob, task: Task[..., Any]) -> Attempt:
        return Attempt(
            job,
            task,
            worker_id=self.worker_id,
            database=self.database,
            settle=self.settle,
            sender=self.sender,
            note_progress=self.note_progress,
            reraise=self.reraise,
        )
