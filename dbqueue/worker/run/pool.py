"""What the pools have in common that jobs run in."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread, get_native_id
from typing import Any
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.tasks.task import Task
from dbqueue.worker.run.deadlines import Deadlines
from dbqueue.worker.run.holder import Holder

logger = logging.getLogger(__name__)

_STOPPED = ("timeout", "cancelled")
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
    ended: int | None = None  # native id of a thread that has ended before its time
    is_broken: bool = False  # a job's programs may run on
    eager: bool = True  # whether its threads are there before the first job

    def __post_init__(self) -> None:
        """Set up the threads of this kind of pool."""

    def submit(self, work: Work) -> None:
        """Run the job as soon as there is a place."""
        raise NotImplementedError

    def to_blame(self, job_id: UUID) -> UUID | None:
        """Return the job that keeps this one from ending; None if it is not certain."""
        return job_id

    def take_back(self) -> list[ClaimedJob]:
        """Return the jobs that have not begun; none of them will."""
        raise NotImplementedError

    def close(self) -> None:
        """End once the running jobs have."""
        raise NotImplementedError

    def clear_away(self, job: ClaimedJob, outcome: Outcome) -> None:
        """End what a job has started that was stopped, before it may run again.

        Where that cannot be told from what other jobs have started, the process has to
        end, and all that with it.
        """
        if outcome.record is not None and outcome.record["reason"] in _STOPPED:
            self.is_broken |= self.deadlines.end_programs(job)

    def start_thread(self, name: str, serve: Callable[[], None]) -> None:
        """Run `serve` in a thread of its own, and note if that raises anything."""

        def live() -> None:
            try:
                serve()
            except BaseException:  # the jobs of the thread would stay RUNNING
                self.ended = get_native_id()
                logger.exception("A thread of the worker that runs jobs has ended")

        Thread(target=live, name=name, daemon=True).start()
