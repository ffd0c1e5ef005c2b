"""From a call of a task to the job that is written, and to its first result."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple, overload
from uuid import UUID

from django.db import DatabaseError, transaction
from django.utils import timezone

from dbqueue import context, dialects, payload
from dbqueue.dialects.moments import as_kept
from dbqueue.dialects.rows import Calls, NewJob, Written
from dbqueue.django_tasks import InvalidTask, TaskResultStatus
from dbqueue.exceptions import MigrationsNotApplied
from dbqueue.ids import hex7s, uuid7
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.results import JobResult
from dbqueue.tasks import Task, stored

# Jobs in one INSERT of enqueue_many; a longer list takes several, in one transaction.
CHUNK = 10_000


class Call(NamedTuple):
    args: list[Any]
    kwargs: dict[str, Any]


def as_call(item: Any, position: int) -> Call:
    if isinstance(item, list | tuple):
        return Call(*payload.arguments(item, {}))
    if isinstance(item, Mapping):
        return Call(*payload.arguments((), item))
    raise InvalidTask(
        f"Call {position} is {item!r}; it must be a tuple of positional arguments or a "
        "dict of keyword arguments."
    )


def as_calls(items: Iterable[Any]) -> Calls:
    """Return the calls as they are written, under new ids. Raises InvalidPayload."""
    args: list[str] = []
    kwargs: list[str] = []
    for position, item in enumerate(items, 1):
        texts = _dumped(as_call(item, position))
        args.append(texts[0])
        kwargs.append(texts[1])
    return Calls(hex7s(len(args)), args, kwargs)


def new_job(alias: str, task: Task[..., Any], call: Call) -> NewJob:
    after = task.run_after
    args, kwargs = _dumped(call)
    return NewJob(
        id=task.job_id or uuid7(),
        task=task.module_path,
        queue_name=task.queue_name,
        priority=int(task.priority),
        backend=alias,
        max_attempts=task.attempts_allowed,
        args=args,
        kwargs=kwargs,
        context=context.dumped(),
        run_after=after if isinstance(after, datetime) else None,
        delay=after.total_seconds() if isinstance(after, timedelta) else None,
    )


def new_result(
    task: Task[..., Any], job: NewJob, written: Written, call: Call
) -> JobResult:
    """Return the result of a job that was just written."""
    return _result(_as_written(task, job, written), written, job.id, call)


def expected(job: NewJob, calls: Calls) -> list[Written]:
    """Return what the database will probably answer, later, for each CHUNK."""
    now = timezone.now()
    due = None if job.run_after is None else as_kept(job.run_after)
    if job.delay is not None:
        due = now + timedelta(seconds=job.delay)
    state = JobState.SCHEDULED if due and due > now else JobState.READY
    return [Written(state, now, due)] * math.ceil(len(calls.ids) / CHUNK)


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
        self._tasks = [_as_written(task, job, chunk) for chunk in written]
        self._made: dict[int, JobResult] = {}

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
            call = Call(json.loads(args[place]), json.loads(kwargs[place]))
            self._made[place] = _result(
                self._tasks[chunk], self._written[chunk], UUID(ids[place]), call
            )
        return self._made[place]


def _as_written(task: Task[..., Any], job: NewJob, written: Written) -> Task[..., Any]:
    return stored(
        task,
        priority=job.priority,
        queue_name=job.queue_name,
        backend=job.backend,
        run_after=written.run_after,
        job_id=None,
    )


def _result(task: Task[..., Any], written: Written, id: UUID, call: Call) -> JobResult:
    return JobResult(
        task=task,
        id=str(id),
        status=TaskResultStatus.READY,
        enqueued_at=written.enqueued_at,
        started_at=None,
        finished_at=None,
        last_attempted_at=None,
        args=call.args,
        kwargs=call.kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=[],
        state=written.state,
    )


def _dumped(call: Call) -> tuple[str, str]:
    return (
        payload.dump(call.args, "The arguments"),
        payload.dump(call.kwargs, "The keyword arguments") if call.kwargs else "{}",
    )


class Writer:
    """Writes jobs into one database, in the caller's transaction."""

    def __init__(self, database: str) -> None:
        self.database = database
        self._dialect = dialects.of(database)

    def write(self, job: NewJob) -> Written | None:
        """Write a job under an id that is new."""
        with migrated(self.database):
            return self._dialect.write(job)

    def write_once(self, job: NewJob) -> Written | None:
        """Write a job whose id may exist; return None if it does, finished or not."""
        with transaction.atomic(using=self.database):
            with migrated(self.database):
                written = self._dialect.write(job, once=True)
            # Asked after the INSERT: a job that finished before it is seen now.
            history = FinishedJob.objects.using(self.database)
            if written and history.filter(pk=job.id).exists():
                Job.objects.using(self.database).filter(pk=job.id).delete()
                return None
        return written

    def write_many(self, job: NewJob, calls: Calls) -> list[Written]:
        """Write a job for each call, CHUNK in a statement; return each one's answer."""
        starts = range(0, len(calls.ids), CHUNK)
        several = len(starts) > 1
        with migrated(self.database), self._together(several):
            return [
                self._dialect.write_many(job, calls.part(first, first + CHUNK))
                for first in starts
            ]

    def _together(self, several: bool) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.database) if several else nullcontext()


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
