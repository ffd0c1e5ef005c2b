"""From a call of a task to the job that is written, and to its first result."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from dbqueue import context, payload
from dbqueue.dialects.rows import NewJob, Written
from dbqueue.django_tasks import InvalidTask
from dbqueue.ids import uuid7
from dbqueue.results import JobResult, job_result
from dbqueue.tasks import Task


class Call(NamedTuple):
    args: list[Any]
    kwargs: dict[str, Any]


def as_call(item: Any, position: int) -> Call:
    if isinstance(item, Mapping):
        return Call(*payload.arguments((), item))
    if isinstance(item, list | tuple):
        return Call(*payload.arguments(item, {}))
    raise InvalidTask(
        f"Call {position} is {item!r}; it must be a tuple of positional arguments or a "
        "dict of keyword arguments."
    )


def new_jobs(
    alias: str, task: Task[..., Any], calls: Sequence[Call]
) -> Iterator[NewJob]:
    after = task.run_after
    first = NewJob(
        id=task.job_id or uuid7(),
        task=task.module_path,
        queue_name=task.queue_name,
        priority=int(task.priority),
        backend=alias,
        max_attempts=task.attempts_allowed,
        args="[]",
        kwargs="{}",
        context=context.dumped(),
        run_after=after if isinstance(after, datetime) else None,
        delay=after.total_seconds() if isinstance(after, timedelta) else None,
    )
    for call in calls:
        yield replace(
            first,
            id=task.job_id or uuid7(),
            args=payload.dump(call.args, "The arguments"),
            kwargs=payload.dump(call.kwargs, "The keyword arguments"),
        )


class _Row(NamedTuple):
    """A fresh job as job_result() reads rows."""

    id: UUID
    priority: int
    queue_name: str
    backend: str
    run_after: datetime | None
    enqueued_at: datetime
    started_at: None = None
    last_attempted_at: None = None


def new_result(
    task: Task[..., Any], job: NewJob, written: Written, call: Call
) -> JobResult:
    row = _Row(
        job.id,
        job.priority,
        job.queue_name,
        job.backend,
        written.run_after,
        written.enqueued_at,
    )
    return job_result(
        task,
        row,
        args=call.args,
        kwargs=call.kwargs,
        state=written.state,
        worker_ids=[],
        attempt_log=[],
    )
