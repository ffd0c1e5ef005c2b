"""Where jobs run: threads for sync tasks, one event loop for async ones."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.db import connections as django_connections

from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.tasks import Task
from dbqueue.worker import connections
from dbqueue.worker.board import Board, ThreadLimit
from dbqueue.worker.executor import Executor

Work = tuple[ClaimedJob, Task[..., Any]]
Done = Callable[[ClaimedJob, Outcome | None], None]


class Pool(Protocol):
    """What the worker's loop knows of either pool."""

    size: int  # jobs it runs at once
    load: int  # jobs it has, running and waiting; counted by the ledger

    def submit(self, job: ClaimedJob, task: Task[..., Any]) -> None:
        """Run the job as soon as there is a place, and report it to `done`."""

    def take_back(self) -> list[ClaimedJob]:
        """Return the jobs that have not begun; none of them will."""

    def close(self) -> None:
        """End once the running jobs have."""


class ThreadPool:
    """A fixed number of threads, and the jobs that wait for one of them."""

    def __init__(self, size: int, executor: Executor, board: Board, done: Done) -> None:
        self.size = size
        self.load = 0
        self._executor = executor
        self._board = board
        self._done = done
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        for i in range(size):
            Thread(target=self._serve, name=f"job-{i}", daemon=True).start()

    def submit(self, job: ClaimedJob, task: Task[..., Any]) -> None:
        self._waiting.put((job, task))

    def take_back(self) -> list[ClaimedJob]:
        jobs = []
        try:
            while work := self._waiting.get_nowait():
                jobs.append(work[0])
        except Empty:
            pass
        return jobs

    def close(self) -> None:
        for _ in range(self.size):
            self._waiting.put(None)

    def _serve(self) -> None:
        limit = ThreadLimit()
        while work := self._waiting.get():
            job, task = work
            self._board.begin(job, task, limit.fire)
            outcome = self._execute(job, task, limit)
            self._board.end(job)
            self._done(job, outcome)
        django_connections.close_all()

    def _execute(
        self, job: ClaimedJob, task: Task[..., Any], limit: ThreadLimit
    ) -> Outcome | None:
        try:
            outcome = self._executor.execute(job, task, limit)
        # A mistake of ours, or a receiver that exits, must not cost the thread: its job
        # would stay RUNNING for ever.
        except BaseException as error:
            outcome = self._executor.refuse(job, error)
        connections.tidy()
        return outcome


class LoopPool:
    """One event loop in a thread of its own; made when the first async job comes."""

    def __init__(self, size: int, executor: Executor, board: Board, done: Done) -> None:
        self.size = size
        self.load = 0
        self._executor = executor
        self._board = board
        self._done = done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Work] = deque()
        self._tidying = False
        self._closing = False
        self._runs: set[asyncio.Task[None]] = set()

    def submit(self, job: ClaimedJob, task: Task[..., Any]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            Thread(
                target=self._serve, args=[self._loop], name="jobs", daemon=True
            ).start()
        self._waiting.append((job, task))
        self._loop.call_soon_threadsafe(self._admit)

    def take_back(self) -> list[ClaimedJob]:
        jobs = []
        while self._waiting:
            try:
                jobs.append(self._waiting.pop()[0])
            except IndexError:  # the loop was faster
                break
        return jobs

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._close)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.close()

    def _admit(self) -> None:
        if len(self._runs) >= self.size:
            return
        try:
            job, task = self._waiting.popleft()
        except IndexError:
            return
        self._board.begin(job, task, _left_to_asyncio)
        context = contextvars.Context()
        run = asyncio.get_running_loop().create_task(
            self._run(job, task), context=context
        )
        # The loop itself keeps only a weak reference.
        self._runs.add(run)
        run.add_done_callback(self._leave)

    def _leave(self, run: asyncio.Task[None]) -> None:
        self._runs.discard(run)
        self._admit()
        if self._closing and not self._runs:
            asyncio.get_running_loop().stop()

    def _close(self) -> None:
        self._closing = True
        if not self._runs:
            asyncio.get_running_loop().stop()

    async def _run(self, job: ClaimedJob, task: Task[..., Any]) -> None:
        try:
            outcome = await self._executor.aexecute(job, task)
        except BaseException as error:  # as in ThreadPool
            outcome = self._executor.refuse(job, error)
        self._board.end(job)
        self._done(job, outcome)
        await self._tidy()

    async def _tidy(self) -> None:
        # All async jobs share asgiref's one thread for their database work: what one
        # leaves behind there is swept up at once, by one of them for all.
        if not self._tidying:
            self._tidying = True
            try:
                await sync_to_async(connections.tidy)()
            finally:
                self._tidying = False


def _left_to_asyncio() -> None:
    """Stand for the interrupt of an async job, whose own timeout cancels it."""
