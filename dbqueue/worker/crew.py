"""Both pools of a child as one: who gets a job, and how much room is left."""

import sys
from collections.abc import Collection
from typing import Any

from dbqueue.dialects.rows import ClaimedJob
from dbqueue.tasks import Task
from dbqueue.worker.appetite import Appetite
from dbqueue.worker.board import Board
from dbqueue.worker.executor import Executor
from dbqueue.worker.pools import Done, LoopPool, Pool, ThreadPool

# Seconds a thread may go on in Python while another waits for its turn. The loop waits
# after each answer of the database: with Python's own 5 ms, threads would run out of
# jobs before it has the next for them.
SWITCH_INTERVAL = 0.0005


class Crew:
    """The threads for sync jobs and the event loop for async ones."""

    def __init__(
        self,
        threads: int,
        coroutines: int,
        executor: Executor,
        board: Board,
        done: Done,
    ) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._threads = ThreadPool(threads, executor, board, done)
        self._loop = LoopPool(coroutines, executor, board, done)
        self._pools: tuple[Pool, Pool] = (self._threads, self._loop)
        self.appetite = Appetite(threads)

    def pool_for(self, task: Task[..., Any]) -> Pool:
        return self._loop if task.is_async else self._threads

    def room(self) -> int:
        """Return how many more jobs the crew would like to have."""
        free_threads, free_coroutines = (p.size - p.load for p in self._pools)
        return self.appetite.wants(free_threads, free_coroutines)

    def got(self, pools: Collection[Pool | None]) -> None:
        """Note for which pools the jobs of a claim were."""
        self.appetite.saw(only_async=all(pool is self._loop for pool in pools))

    def has_waiting(self) -> bool:
        """Tell whether jobs wait for a place."""
        return any(pool.load > pool.size for pool in self._pools)

    def take_back(self) -> list[ClaimedJob]:
        """Return the jobs that have not begun; none of them will."""
        return [job for pool in self._pools for job in pool.take_back()]

    def close(self) -> None:
        for pool in self._pools:
            pool.close()
