"""Where jobs run: threads for sync tasks, one event loop for async ones."""

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections as django_connections

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.deadlines import Deadlines, ThreadLimit
from dbqueue.worker.run.holder import Holder

# Seconds a thread may go on in Python while another waits for its turn. The loop waits
# after each answer of the database: with Python's own 5 ms, threads would run out of
# jobs before it has the next for them.
SWITCH_INTERVAL = 0.0005

# A claimed job, its task, and the seconds it may run.
Work = tuple[ClaimedJob, Task[..., Any], float | None]
Done = Callable[[ClaimedJob, Outcome | None], None]


@dataclass(eq=False)
class Pool:
    """Runs jobs, at most `size` at once, and reports each to `done`."""

    size: int
    holder: Holder
    deadlines: Deadlines
    done: Done
    load: int = 0  # jobs it has, running and waiting; counted by the completer

    def __post_init__(self) -> None:
        """Set up the threads of this kind of pool."""

    def submit(self, work: Work) -> None:
        """Run the job as soon as there is a place."""
        raise NotImplementedError

    def take_back(self) -> list[ClaimedJob]:
        """Return the jobs that have not begun; none of them will."""
        raise NotImplementedError

    def close(self) -> None:
        """End once the running jobs have."""
        raise NotImplementedError


class ThreadPool(Pool):
    """A fixed number of threads, and the jobs that wait for one of them."""

    def __post_init__(self) -> None:
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        for i in range(self.size):
            Thread(target=self._serve, name=f"job-{i}", daemon=True).start()

    def submit(self, work: Work) -> None:
        self._waiting.put(work)

    def take_back(self) -> list[ClaimedJob]:
        jobs = []
        with suppress(Empty):
            while work := self._waiting.get_nowait():
                jobs.append(work[0])
        return jobs

    def close(self) -> None:
        for _ in range(self.size):
            self._waiting.put(None)

    def _serve(self) -> None:
        limit = ThreadLimit()
        while work := self._waiting.get():
            job, task, seconds = work
            self.deadlines.begin(job, seconds, limit.fire)
            outcome = self._run(job, task, limit)
            self.deadlines.end(job)
            self.done(job, outcome)
        django_connections.close_all()

    def _run(
        self, job: ClaimedJob, task: Task[..., Any], limit: ThreadLimit
    ) -> Outcome | None:
        try:
            outcome = Attempt(job, task, self.holder).run(limit)
        # A mistake of ours must not cost the thread: its job would stay RUNNING.
        except BaseException as error:
            outcome = self.holder.refuse(job, error)
        connections.tidy()
        return outcome


class LoopPool(Pool):
    """One event loop in a thread of its own; made when the first async job comes."""

    def __post_init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[Work] = deque()
        self._tidying = False
        self._closing = False
        self._runs: set[asyncio.Task[None]] = set()

    def submit(self, work: Work) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            serve = partial(self._serve, self._loop)
            Thread(target=serve, name="jobs", daemon=True).start()
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
        loop.run_forever()
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
            self._run(job, task), context=contextvars.Context()
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
            outcome = await Attempt(job, task, self.holder).arun()
        except BaseException as error:  # as in ThreadPool
            outcome = self.holder.refuse(job, error)
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


# What a wing may choose for a task in place of both; an empty list costs one look.
choices: list[Callable[["Pools", Task[..., Any]], Pool | None]] = []


class Pools:
    """The threads for sync jobs and the event loop for async ones."""

    def __init__(
        self,
        threads: int,
        coroutines: int,
        holder: Holder,
        deadlines: Deadlines,
        done: Done,
    ) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.threads = ThreadPool(threads, holder, deadlines, done)
        self.loop = LoopPool(coroutines, holder, deadlines, done)
        self._all: tuple[Pool, ...] = (self.threads, self.loop)

    def pool_for(self, task: Task[..., Any]) -> Pool:
        """Return the pool that runs jobs of the task."""
        for choose in choices:
            if (pool := choose(self, task)) is not None:
                return pool
        return self.loop if task.is_async else self.threads

    def free(self) -> tuple[int, int]:
        """Return how many threads and coroutines have no job."""
        threads, loop = self.threads, self.loop
        return threads.size - threads.load, loop.size - loop.load

    def has_waiting(self) -> bool:
        return any(pool.load > pool.size for pool in self._all)

    def take_back(self) -> list[ClaimedJob]:
        return [job for pool in self._all for job in pool.take_back()]

    def close(self) -> None:
        for pool in self._all:
            pool.close()
