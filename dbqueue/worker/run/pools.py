"""Where jobs run: threads for sync tasks, one event loop for async ones."""

import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any

from django.db import connections as django_connections

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.run import contexts
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.deadlines import Deadlines, ThreadLimit
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.run.loop_pool import LoopPool
from dbqueue.worker.run.pool import Done, Pool, Work

# Seconds a thread may go on in Python while another waits for its turn. The loop waits
# after each answer of the database: with Python's own 5 ms, threads would run out of
# jobs before it has the next for them.
SWITCH_INTERVAL = 0.0005


class ThreadPool(Pool):
    """A fixed number of threads, and the jobs that wait for one of them."""

    def __post_init__(self) -> None:
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        self._started = 0
        if self.eager:
            for _ in range(self.size):
                self._start()

    def submit(self, work: Work) -> None:
        if self._started < min(self.size, self.load):
            self._start()
        self._waiting.put(work)

    def _start(self) -> None:
        self.start_thread(f"job-{self._started}", self._serve)
        self._started += 1

    def take_back(self) -> list[ClaimedJob]:
        jobs = []
        with suppress(Empty):
            while work := self._waiting.get_nowait():
                jobs.append(work[0])
        return jobs

    def close(self) -> None:
        for _ in range(self._started):
            self._waiting.put(None)

    def _serve(self) -> None:
        limit, context = ThreadLimit(), contexts.base()
        self.deadlines.launched.threads.add(limit.thread)
        while work := self._waiting.get():
            job, task, seconds = work
            self.deadlines.begin(job, seconds, limit.fire, limit.thread)
            outcome = self._run(job, task, limit, context.copy())
            if outcome is not None and outcome.record is not None:
                self.clear_away(job, outcome)
            self.deadlines.end(job)
            self.done(job, outcome)
        django_connections.close_all()

    def _run(
        self,
        job: ClaimedJob,
        task: Task[..., Any],
        limit: ThreadLimit,
        context: Context,
    ) -> Outcome | None:
        connections.renew()
        try:
            outcome = context.run(Attempt(job, task, self.holder).run, limit)
        # A mistake of ours must not cost the thread: its job would stay RUNNING.
        except BaseException as error:
            outcome = self.holder.refuse(job, error)
        connections.tidy()
        return outcome


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
        *,
        eager: bool = True,
    ) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        self.threads = ThreadPool(threads, holder, deadlines, done, eager=eager)
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
        coroutines = 0 if loop.load and loop.is_blocked else loop.size - loop.load
        return threads.size - threads.load, coroutines

    def has_waiting(self) -> bool:
        threads, loop = self.threads, self.loop
        return threads.load > threads.size or (loop.load > 0 and loop.has_waiting())

    def are_suspect(self) -> bool:
        """Tell whether they need a closer look; sync jobs alone cost no more."""
        pools = self.threads, self.loop
        broken = any(pool.is_broken or pool.ended is not None for pool in pools)
        return broken or bool(self.loop.load)

    def ended(self) -> set[int | None]:
        """Return threads that have ended before their time; None is the event loop's.

        Jobs there never end.
        """
        threads: set[int | None] = {self.threads.ended} - {None}
        return threads if self.loop.ended is None else threads | {None}

    def are_broken(self) -> bool:
        """Tell whether only the end of the process ends what jobs have started."""
        return any(pool.is_broken for pool in self._all)

    def take_back(self) -> list[ClaimedJob]:
        return [job for pool in self._all for job in pool.take_back()]

    def close(self) -> None:
        for pool in self._all:
            pool.close()
