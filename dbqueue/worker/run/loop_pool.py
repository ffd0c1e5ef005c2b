"""The pool of async jobs: one event loop in a thread of its own."""

import asyncio
import contextvars
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.run import contexts, launched
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.pool import Pool, Work, logger


class LoopPool(Pool):
    """One event loop in a thread of its own; made when the first async job comes."""

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = contextvars.Context()
        self._waiting: deque[Work] = deque()
        self._tidying = False
        self._closing = self._closed = False
        self._runs: set[asyncio.Task[None]] = set()

    def submit(self, work: Work) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self.deadlines.launched.watch(self._loop)
            self.start_thread("jobs", partial(self._serve, self._loop))
        self._waiting.append(work)
        self._loop.call_soon_threadsafe(self._admit)

    def take_back(self) -> list[ClaimedJob]:
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
        self.deadlines.begin(job, seconds, _left_to_asyncio)
        run = asyncio.get_running_loop().create_task(
            self._run(job, task), context=self._context.copy()
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
        launched.current.set(job.id)
        try:
            outcome = await Attempt(job, task, self.holder).arun()
        except BaseException as error:  # as in ThreadPool
            outcome = await sync_to_async(self.holder.refuse)(job, error)
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


def _left_to_asyncio() -> None:
    """Do nothing: an async job's own timeout cancels it."""
