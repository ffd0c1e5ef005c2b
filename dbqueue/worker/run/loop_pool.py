"""The pool of async jobs: one event loop in a thread of its own."""

import asyncio
import contextvars
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.process.files import files
from dbqueue.worker.run import contexts, launched
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.deadlines import STUBBORN, Running
from dbqueue.worker.run.pool import Pool, Work, logger

# Seconds between two questions to the loop whether it still turns.
ASK_INTERVAL = 1.0
# Seconds that a job may block the loop while other async jobs run beside it.
BLOCK_LIMIT = 60.0
# The frame in which asyncio takes one step of a task, or calls one callback.
_STEP = asyncio.Handle._run.__code__


class LoopPool(Pool):
    """One event loop in a thread of its own; made when the first async job comes."""

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = contextvars.Context()
        self._waiting: deque[Work] = deque()
        self._tidying = False
        self._generation = 0  # of the files
        self._closing = self._closed = False
        self._runs: set[asyncio.Task[None]] = set()
        self._attempts: dict[UUID, Attempt] = {}
        self._thread = 0
        # Since when the loop owes an answer, monotonic, and what it did at that time.
        self._asked_at: float | None = None
        self._asked_last = 0.0
        self._blocker: UUID | None = None

    def submit(self, work: Work) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self.deadlines.launched.watch(self._loop)
            self.start_thread("jobs", partial(self._serve, self._loop))
        self._waiting.append(work)
        self._loop.call_soon_threadsafe(self._admit)

    def has_waiting(self) -> bool:
        """Tell whether jobs wait, also where there is a place: a blocked loop."""
        return bool(self._waiting)

    @property
    def is_blocked(self) -> bool:
        """Whether the loop owes an answer for longer than a busy one may."""
        return self._asked_at is not None and self._owed() > ASK_INTERVAL

    def watch(self) -> None:
        """Ask now and then, while there are jobs."""
        if self.load and time.monotonic() > self._asked_last + ASK_INTERVAL / 2:
            self.ask()

    def ask(self) -> None:
        """Ask the loop whether it still turns, unless it owes an answer already."""
        if self._loop is not None and self._asked_at is None:
            self._blocker, self._asked_last = self._stepped(), time.monotonic()
            self._asked_at = self._asked_last
            self._loop.call_soon_threadsafe(self._answer)

    def to_blame(self, job_id: UUID) -> UUID | None:
        if self._owed() < STUBBORN / 2:
            return job_id  # the loop turns: the job ignores that it was cancelled
        before, self._blocker = self._blocker, self._stepped()
        return self._blocker or job_id if self._blocker == before else None

    def blocks_others(self) -> UUID | None:
        """Return the job that has blocked the loop for too long, if it runs others."""
        if len(self._runs) < 2 or self._owed() < BLOCK_LIMIT:
            return None
        return self._blocker if self._blocker == self._stepped() else None

    def _interrupt(self, entry: Running) -> None:
        # The timeout itself is asyncio's; a loop that is blocked comes to none.
        if entry.is_cancelled and self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, entry.job.id)
        self.ask()

    def _cancel(self, job_id: UUID) -> None:
        if (attempt := self._attempts.get(job_id)) is not None:
            attempt.cancel()

    def _answer(self) -> None:
        self._asked_at = None

    def _owed(self) -> float:
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    def _stepped(self) -> UUID | None:
        """Return the job whose code the loop runs right now, None if none."""
        frame = sys._current_frames().get(self._thread)
        while frame is not None and frame.f_code is not _STEP:
            frame = frame.f_back
        handle = None if frame is None else frame.f_locals.get("self")
        context: contextvars.Context | None = getattr(handle, "_context", None)
        return None if context is None else context.get(launched.current)

    def take_back(self) -> list[ClaimedJob]:
        self.ask()
        jobs = []
        with suppress(IndexError):  # the loop was faster
            while self._waiting:
                jobs.append(self._waiting.pop()[0])
        return jobs

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        self._thread = threading.get_ident()
        self._context = contexts.base()
        while not self._closed:
            # A job may stop the loop, which is not its own. And where a task or a
            # callback of one exits, asyncio ends the loop with it.
            try:
                loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                logger.exception("What a job has started on the event loop exits")
        loop.close()

    def _admit(self) -> None:
        if len(self._runs) >= self.size:
            return
        try:
            job, task, seconds = self._waiting.popleft()
        except IndexError:
            return
        self.deadlines.begin(job, seconds, self._interrupt)
        context = self._context.copy()
        context.run(launched.current.set, job.id)
        run = asyncio.get_running_loop().create_task(
            self._run(job, task), context=context
        )
        # The loop itself keeps only a weak reference.
        self._runs.add(run)
        run.add_done_callback(self._leave)

    def _leave(self, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        self._admit()
        self._stop_if_done()

    def _close(self) -> None:
        self._closing = True
        self._stop_if_done()

    def _stop_if_done(self) -> None:
        if self._closing and not self._runs:
            self._closed = True
            asyncio.get_running_loop().stop()

    async def _run(self, job: ClaimedJob, task: Task[..., Any]) -> None:
        if self._generation != files.generation:
            self._generation = files.generation
            await sync_to_async(connections.renew)()
        try:
            attempt = self._attempts[job.id] = Attempt(job, task, self.holder)
            outcome = await attempt.arun()
        except BaseException as error:  # as in ThreadPool
            outcome = await sync_to_async(self.holder.refuse)(job, error)
        self._attempts.pop(job.id, None)
        if outcome is not None and outcome.record is not None:
            self.clear_away(job, outcome)
        self.deadlines.launched.forget(job.id)
        self.deadlines.end(job)
        self.done(job, outcome)
        await self._tidy()

    async def _tidy(self) -> None:
        # All async jobs share asgiref's one thread for their database work: what one
        # leaves behind there is removed at once, by one of them for all.
        if not self._tidying:
            self._tidying = True
            try:
                await sync_to_async(connections.tidy)()
            finally:
                self._tidying = False
