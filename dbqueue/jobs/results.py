"""The one maker of a JobResult, and its callers: a call, a row, a running job."""

import json
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, overload
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob, NewJob
from dbqueue.dialects.rows import Calls, Written
from dbqueue.jobs.insert import CHUNK
from dbqueue.models import JobRecord, JobState, entries
from dbqueue.tasks.framework import TaskError
from dbqueue.tasks.payload import Call
from dbqueue.tasks.registry import resolve
from dbqueue.tasks.results import STATUS, JobResult, Progress, progress_of
from dbqueue.tasks.task import Task, stored


class _Row(Protocol):
    """What NewJob, ClaimedJob and the models have in common."""

    priority: int
    queue_name: str
    backend: str


def job_result(
    task: Task[..., Any],
    *,
    id: UUID,
    state: str,
    args: list[Any],
    kwargs: dict[str, Any],
    enqueued_at: datetime,
    attempt: int = 0,
    started_at: datetime | None = None,
    last_attempted_at: datetime | None = None,
    finished_at: datetime | None = None,
    attempt_log: Sequence[dict[str, Any]] = (),
    worker_ids: Sequence[str] = (),
    progress: Progress | None = None,
    return_value: Any = None,
) -> JobResult:
    """Return the result of a job; `task` is as its row has it, see task_of()."""
    made = JobResult(
        task=task,
        id=str(id),
        status=STATUS[state],
        enqueued_at=enqueued_at,
        started_at=started_at,
        finished_at=finished_at,
        last_attempted_at=last_attempted_at,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[task_error(entry) for entry in attempt_log if "exception" in entry],
        worker_ids=list(worker_ids),
        state=state,
        attempt=attempt,
        progress=progress,
    )
    if return_value is not None:
        object.__setattr__(made, "_return_value", return_value)
    return made


def task_of(
    task: Task[..., Any], row: _Row, run_after: datetime | None
) -> Task[..., Any]:
    """Return the task with the settings that a job of it was written with."""
    return stored(
        task,
        priority=row.priority,
        queue_name=row.queue_name,
        backend=row.backend,
        run_after=run_after,
        job_id=None,
    )


def task_error(entry: dict[str, Any]) -> TaskError:
    """Return the error that an entry of the attempt log records."""
    return TaskError(
        exception_class_path=entry["exception"], traceback=entry.get("traceback", "")
    )


def new_result(
    task: Task[..., Any], job: NewJob, written: Written, call: Call
) -> JobResult:
    """Return the result of a job that was just written."""
    return job_result(
        task_of(task, job, written.run_after),
        id=job.id,
        state=written.state,
        args=call.args,
        kwargs=call.kwargs,
        enqueued_at=written.enqueued_at,
    )


def running_result(
    task: Task[..., Any],
    job: ClaimedJob,
    worker_id: UUID,
    *,
    args: list[Any],
    kwargs: dict[str, Any],
    attempt_log: Any,
    **more: Any,
) -> JobResult:
    """Return the result of a job that a worker runs; `more` is for one that ended."""
    log = entries(attempt_log) if attempt_log else []
    workers = [str(entry.get("worker")) for entry in log]
    values: dict[str, Any] = {
        "state": JobState.RUNNING,
        "worker_ids": [*workers, str(worker_id)],
        **more,
    }
    return job_result(
        task_of(task, job, job.run_after),
        id=job.id,
        args=args,
        kwargs=kwargs,
        enqueued_at=job.enqueued_at,
        attempt=job.attempt,
        started_at=job.started_at,
        last_attempted_at=job.last_attempted_at,
        attempt_log=log,
        **values,
    )


def stored_result(row: JobRecord) -> JobResult:
    """Return the result of a job in a table. Raises TaskNotFound for its task."""
    return job_result(
        task_of(resolve(row.task), row, row.run_after),
        id=row.id,
        state=row.state,
        args=row.args,
        kwargs=row.kwargs,
        enqueued_at=row.enqueued_at,
        attempt=row.attempt,
        started_at=row.started_at,
        last_attempted_at=row.last_attempted_at,
        finished_at=getattr(row, "finished_at", None),
        attempt_log=entries(row.attempt_log),
        worker_ids=row.worker_ids,
        progress=progress_of(row.progress),
        return_value=getattr(row, "result", None),
    )


class NewResults(Sequence[JobResult]):
    """The results of jobs written together; each is made when it is first asked for.

    Few callers look at them, and a hundred thousand would fill the memory.
    """

    def __init__(
        self,
        task: Task[..., Any],
        job: NewJob,
        calls: Calls,
        written: Sequence[Written],  # one for each CHUNK of the calls
    ) -> None:
        self._calls = calls
        self._written = written
        self._tasks = [task_of(task, job, chunk.run_after) for chunk in written]
        self._made: dict[int, JobResult] = {}

    @classmethod
    def expected(cls, task: Task[..., Any], job: NewJob, calls: Calls) -> "NewResults":
        """Return what the database will probably answer, later."""
        written = [Written.now(job)] * math.ceil(len(calls.ids) / CHUNK)
        return cls(task, job, calls, written)

    def __len__(self) -> int:
        return len(self._calls.ids)

    @overload
    def __getitem__(self, index: int) -> JobResult: ...

    @overload
    def __getitem__(self, index: slice) -> list[JobResult]: ...

    def __getitem__(self, index: int | slice) -> JobResult | list[JobResult]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return [self._at(place) for place in places]
        return self._at(places)

    def _at(self, place: int) -> JobResult:
        if place not in self._made:
            chunk, (ids, args, kwargs) = place // CHUNK, self._calls
            self._made[place] = job_result(
                self._tasks[chunk],
                id=UUID(ids[place]),
                state=self._written[chunk].state,
                args=json.loads(args[place]),
                kwargs=json.loads(kwargs[place]),
                enqueued_at=self._written[chunk].enqueued_at,
            )
        return self._made[place]
