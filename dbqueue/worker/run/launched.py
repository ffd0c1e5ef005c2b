"""Which programs a job has started, of all that its child has."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from dbqueue.worker.process import programs
from dbqueue.worker.process.programs import Program

# The async job whose code runs; a sync job has its thread to itself.
current: ContextVar[UUID | None] = ContextVar("dbqueue_launching_job", default=None)


class Launched:
    """What the jobs of one child have started, as far as that can be known.

    It costs nothing until somebody asks: the kernel knows which thread has started
    what, and when. An event loop tells what its jobs start through asyncio.
    """

    def __init__(self) -> None:
        self.threads: set[int] = set()  # native ids of those that run sync jobs
        self._by_async_jobs: dict[int, UUID] = {}  # pids

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note from now on what is started through the loop."""
        for name in ("subprocess_exec", "subprocess_shell"):
            with suppress(AttributeError):  # a loop of another kind may be closed to it
                setattr(loop, name, self._noting(getattr(loop, name)))

    def by_thread(self, thread: int, since: float) -> list[Program]:
        """Return what a job has started that runs in the thread since that moment."""
        begun = programs.started_by_thread(thread)
        return [p for p in begun if p.started >= _since_boot(since)]

    def by_async_job(self, job_id: UUID) -> list[Program]:
        pids = {pid for pid, id in self._by_async_jobs.items() if id == job_id}
        return [p for p in programs.started() if p.pid in pids]

    def unclear(self, known: Collection[Program], since: float) -> list[Program]:
        """Return what was started since then, by this or another job.

        By a thread of a job's own, by asyncio's threads, or by a program that has
        ended.
        """
        others = {p.pid for t in self.threads for p in programs.started_by_thread(t)}
        others |= self._by_async_jobs.keys() | {p.pid for p in known}
        found = []
        for program in programs.started_by_jobs():
            if programs.is_shared(program):
                found += programs.children(program)
            elif program.pid not in others:
                found.append(program)
        begun = [p for p in found if p.started >= _since_boot(since)]
        return [p for p in begun if programs.is_own(p)]

    def forget(self, job_id: UUID) -> None:
        """Forget what an async job has started: it has ended."""
        if self._by_async_jobs:
            for pid in [p for p, id in self._by_async_jobs.items() if id == job_id]:
                del self._by_async_jobs[pid]

    def _noting(self, make: Callable[..., Any]) -> Callable[..., Any]:
        async def noted(*args: Any, **kwargs: Any) -> Any:
            transport, protocol = await make(*args, **kwargs)
            job_id = current.get()
            if job_id is not None:
                self._by_async_jobs[transport.get_pid()] = job_id
            return transport, protocol

        return noted


def _since_boot(moment: float) -> float:
    """Return a monotonic moment as the kernel notes when processes start."""
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    tick = 0.01  # it cuts off what is less
    return moment + asleep - tick
