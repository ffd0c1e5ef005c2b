"""The one maker of a JobResult, and its callers: a call, a row, a running job."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, overload
from uuid import UUID

from django.utils import timezone

from dbqueue.dialects.columns import ClaimedJob, HeldJob, JobColumns, NewJob
from dbqueue.dialects.rows import Calls, Outcome, Written
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs.insert import starts
from dbqueue.models import FinishedJob, Job, JobRecord, JobState, entries, workers
from dbqueue.tasks import payload, typed
from dbqueue.tasks.framework import TaskError
from dbqueue.tasks.payload import Call
from dbqueue.tasks.registry import in_name, resolve
from dbqueue.tasks.results import STATUS, JobResult, Progress, progress_of
from dbqueue.tasks.task import Task, stored

T = TypeVar("T", list[Any], dict[str, Any])


def job_result(
    task: Task[..., Any],
    row: Any,
    *,
    state: str,
    args: list[Any],
    kwargs: dict[str, Any],
    run_after: datetime | None = None,
    enqueued_at: datetime | None = None,
    attempt_log: Sequence[dict[str, Any]] = (),
    worker_ids: Sequence[str] = (),
    progress: Progress | None = None,
    finished_at: datetime | None = None,
    return_value: Any = None,
) -> JobResult:
    """Return the result of a job: a NewJob, a ClaimedJob, a Job or a FinishedJob."""
    made = JobResult(
        task=_as_written(task, row, run_after),
        id=str(row.id),
        status=STATUS[state],
        enqueued_at=enqueued_at or row.enqueued_at,
        started_at=getattr(row, "started_at", None),
        finished_at=finished_at,
        last_attempted_at=getattr(row, "last_attempted_at", None),
        args=args,
        kwargs=kwargs,
        backend=row.backend,
        errors=[task_error(entry) for entry in attempt_log if "exception" in entry],
        worker_ids=list(worker_ids),
        state=state,
        attempt=getattr(row, "attempt", 0),
        progress=progress,
    )
    if return_value is not None:
        object.__setattr__(made, "_return_value", return_value)
    return made


def _as_written(
    task: Task[..., Any], row: Any, run_after: datetime | None
) -> Task[..., Any]:
    names = ("priority", "queue_name", "backend")
    values = {name: getattr(row, name) for name in names}
    return stored(task, **values, run_after=run_after, job_id=None)


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
        task, job, args=call.args, kwargs=call.kwargs, **written._asdict()
    )


def running_result(
    task: Task[..., Any],
    job: ClaimedJob,
    worker_id: UUID,
    *,
    args: list[Any],
    kwargs: dict[str, Any],
    attempt_log: Any,
) -> JobResult:
    """Return the result of a job that a worker runs."""
    log = entries(attempt_log) if attempt_log else []
    return job_result(
        task,
        job,
        state=JobState.RUNNING,
        args=args,
        kwargs=kwargs,
        run_after=job.run_after,
        attempt_log=log,
        worker_ids=[*workers(log), str(worker_id)],
    )


def end(result: JobResult, outcome: Outcome, **more: Any) -> None:
    """Let the result of a job that runs tell of its end; `more` are other values."""
    state, now = outcome.state, timezone.now()
    ended = {"state": state, "status": STATUS[state], "finished_at": now, **more}
    for name, value in ended.items():
        object.__setattr__(result, name, value)
    if outcome.record is not None:
        result.errors.append(task_error(outcome.record))


def unrun_result(job: ClaimedJob, worker_id: UUID, outcome: Outcome) -> JobResult:
    """Return the result of a job that has FAILED, but not by what its task did.

    Its task may be missing, and its row damaged: what cannot be read is empty.
    """
    log = [*entries(readable(job, "attempt_log", list)), outcome.record or {}]
    return job_result(
        in_name(job.task),
        job,
        state=outcome.state,
        args=readable(job, "args", list),
        kwargs=readable(job, "kwargs", dict),
        run_after=job.run_after,
        attempt_log=log,
        worker_ids=workers(log),
        finished_at=timezone.now(),
    )


def readable(job: ClaimedJob | HeldJob, column: str, kind: type[T]) -> T:
    """Return the value of a JSON column, an empty one if it was damaged."""
    try:
        value: T = payload.read(job, column, kind)
    except InvalidPayload:
        return kind()
    return value


def finished_result(alias: str, id: UUID) -> JobResult:
    """Return the result of a job that ended elsewhere; its task is not imported."""
    row = FinishedJob.objects.using(alias).get(pk=id)
    return stored_result(row, in_name(row.task))


def find_row(alias: str, id: UUID) -> JobRecord | None:
    """Return the row of a job, unfinished or finished."""
    # In this order: a job that finishes in between is found in the history.
    job = Job.objects.using(alias).filter(pk=id).first()
    if job is not None and not job.once:
        return job
    # Under a chosen id, a second one may wait until its claim removes it.
    return FinishedJob.objects.using(alias).filter(pk=id).first() or job


def stored_result(row: JobRecord, task: Task[..., Any] | None = None) -> JobResult:
    """Return the result of a job in a table. Raises TaskNotFound for its task."""
    args, kwargs, value = row.args, row.kwargs, getattr(row, "result", None)
    if typed.is_typed(args):
        args, kwargs, value = typed.read(args, kwargs, value)
    return job_result(
        task or resolve(row.task),
        row,
        state=row.state,
        args=args,
        kwargs=kwargs,
        run_after=row.run_after,
        attempt_log=entries(row.attempt_log),
        worker_ids=row.worker_ids,
        progress=progress_of(row.progress),
        finished_at=getattr(row, "finished_at", None),
        return_value=value,
    )


def returned(job: JobColumns, text: str) -> Any:
    """Return what a job returned from the JSON of it."""
    value = json.loads(text)
    if job.args.startswith(typed.BEGINNING):
        return typed.read(typed.NOTHING, {}, value)[2]
    return value


class NewResults(Sequence[JobResult]):
    """The results of jobs written together; each is made when it is first asked for.

    Few callers look at them, and a hundred thousand would fill the memory.
    """

    def __init__(
        self,
        task: Task[..., Any],
        job: NewJob,
        calls: Calls,
        written: Sequence[Written],  # one for each chunk of the calls
    ) -> None:
        self._starts = starts(calls)
        self._tasks = [_as_written(task, job, chunk.run_after) for chunk in written]
        self._job = job
        self._calls = calls
        self._written = written
        self._made: dict[int, JobResult] = {}

    @classmethod
    def expected(cls, task: Task[..., Any], job: NewJob, calls: Calls) -> "NewResults":
        """Return what the database will probably answer, later."""
        written = [Written.now(job)] * len(starts(calls))
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
            chunk = bisect_right(self._starts, place) - 1
            ids, *texts, more = self._calls
            args, kwargs = (json.loads(column[place]) for column in texts)
            if typed.is_typed(args):
                args, kwargs, _ = typed.read(args, kwargs)
            self._made[place] = job_result(
                self._tasks[chunk],
                replace(self._job, id=UUID(ids[place])),
                args=args,
                kwargs=kwargs,
                **self._written[chunk].of_call(more, place)._asdict(),
            )
        return self._made[place]
