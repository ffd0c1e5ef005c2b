"""From a call of a task to the job that is written, and to its first result."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DatabaseError, transaction

from dbqueue import context, dialects, payload
from dbqueue.dialects.rows import NewJob, Written
from dbqueue.django_tasks import InvalidTask
from dbqueue.exceptions import MigrationsNotApplied
from dbqueue.ids import uuid7
from dbqueue.models import FinishedJob, Job
from dbqueue.results import JobResult, job_result
from dbqueue.tasks import Task

# Jobs in one INSERT of enqueue_many; a longer list takes several, in one transaction.
CHUNK = 10_000


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


class Writer:
    """Writes jobs into one database, in the caller's transaction."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._dialect = dialects.of(database)

    def write(self, job: NewJob) -> Written | None:
        """Write a job; return None if its id is taken by an unfinished one."""
        with migrated(self.database):
            return self._dialect.write(job)

    def write_once(self, job: NewJob) -> Written | None:
        """Write a job whose id may exist; return None if it does, finished or not."""
        with transaction.atomic(using=self.database):
            written = self.write(job)
            # Asked after the INSERT: a job that finished before it is seen now.
            history = FinishedJob.objects.using(self.database)
            if written and history.filter(pk=job.id).exists():
                Job.objects.using(self.database).filter(pk=job.id).delete()
                return None
        return written

    def write_many(self, jobs: Sequence[NewJob]) -> list[Written]:
        """Write jobs of one task, CHUNK in a statement."""
        if len(jobs) <= CHUNK:
            with migrated(self.database):
                return self._dialect.write_many(jobs) if jobs else []
        with transaction.atomic(using=self.database):
            chunks = (jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK))
            return [row for chunk in chunks for row in self.write_many(chunk)]


@contextmanager
def migrated(database: str) -> Iterator[None]:
    """Raise MigrationsNotApplied where a table is missing."""
    try:
        yield
    except DatabaseError as error:
        if not dialects.of(database).is_missing_table(error):
            raise
        raise MigrationsNotApplied(
            f"The tables of dbqueue are not in database {database!r}. "
            f"Run: manage.py migrate --database {database}"
        ) from error
