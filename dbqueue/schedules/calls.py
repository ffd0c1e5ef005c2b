"""The jobs of a schedule: their task, their arguments, and what travels with them."""

import json
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

# Not the class: the backend may be what has the models imported, as where an app that
# stands before dbqueue in INSTALLED_APPS has models with upload fields.
from dbqueue import backend as backends
from dbqueue import signals
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import Calls
from dbqueue.ids import uuid7_at
from dbqueue.jobs import events
from dbqueue.jobs.results import NewResults
from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times.plan import aware
from dbqueue.schedules.values import told_of
from dbqueue.tasks import registry, typed
from dbqueue.tasks.context import SCHEDULE, bind_context
from dbqueue.tasks.framework import InvalidTaskBackend, task_enqueued
from dbqueue.tasks.payload import Call
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task


def check(given: Any) -> "backends.DatabaseBackend":
    """Return the backend of the task, which is imported.

    The arguments are written as they are kept. Raises InvalidSchedule if there is no
    such task, or if they do not fit it.
    """
    with told_of(given.name):
        task = task_of(given)
        backend = backend_of(task)
        backend.validate_task(task)
        call = _call(given, task, backend)
        given.args, given.kwargs = json.loads(call.args_text), dict(call.kwargs)
        if call.kwargs_text != "{}":
            given.kwargs = json.loads(call.kwargs_text)
        return backend


def task_of(given: Any) -> Task[..., Any]:
    """Return the task with the options that the schedule has for its jobs.

    Raises TaskNotFound, TaskNotAllowed, InvalidTask and InvalidTaskBackend.
    """
    task = registry.resolve(given.task)
    return _with_options(task, given.queue_name, given.priority, given.backend)


def backend_of(task: Task[..., Any]) -> "backends.DatabaseBackend":
    """Return the backend of the task. Raises InvalidTaskBackend if it is not ours."""
    backend = task.get_backend()
    if not isinstance(backend, backends.DatabaseBackend):
        raise InvalidTaskBackend(
            f"{task.module_path!r} is on backend {task.backend!r}, which is not one of "
            "dbqueue; schedules are fired into its tables alone."
        )
    return backend


def demand_database(
    backend: "backends.DatabaseBackend", given: Any, alias: str
) -> None:
    """Raise InvalidSchedule unless a schedule and its jobs are in one database."""
    if backend.database != alias:
        raise InvalidSchedule(
            f"Schedule {given.name!r}: the jobs of {given.task!r} are in database "
            f"{backend.database!r}, and the schedule is in {alias!r}. Write it there, "
            f"as with Schedule.objects.using({backend.database!r})."
        )


def tick_id(pk: UUID, tick: datetime) -> UUID:
    """Return the id of the job of a tick, which is the same from every keeper."""
    return uuid7_at(tick.timestamp(), str(pk))


def job_of(row: Any, tick: datetime, previous: datetime | None) -> NewJob:
    """Return the job of a tick. Raises what enqueue() raises."""
    task = task_of(row)
    backend = backend_of(task)
    demand_database(backend, row, row._state.db)
    job = backend.job_of(task, _call(row, task, backend))
    job.id, job.run_after = tick_id(row.pk, tick), tick
    if row.expires is not None:
        columns = {k: v for k, v in (job.more or {}).items() if k != "expires_in"}
        job.more = columns | {"expires_at": tick + timedelta(seconds=row.expires)}
    job.context = json.dumps({SCHEDULE: _told(row, tick, previous)})
    return job


def announce(row: Any, jobs: Iterable[NewJob]) -> None:
    """Announce the jobs of ticks, which were written, to whoever listens."""
    heard = events.has_receivers(task_enqueued, logging.DEBUG)
    if not (heard or signals.job_enqueued.receivers):
        return
    task = task_of(row)
    for job in jobs:
        one = Calls([job.id.hex], [job.args], [job.kwargs])
        results = NewResults.expected(task, job, one)
        events.enqueued(type(task.get_backend()), results)


def run_now(row: Any, now: datetime) -> JobResult:
    """Enqueue a job of the schedule, in the caller's transaction; it is no tick.

    Raises what enqueue() raises.
    """
    task = task_of(row)
    args, kwargs, _ = (
        typed.read(row.args, row.kwargs)
        if typed.is_typed(row.args)
        else (row.args, row.kwargs, None)
    )
    told = _told(row, now, aware(row.last_run_at)) | {"manual": True}
    with bind_context(**{SCHEDULE: told}):
        result: JobResult = backend_of(task).enqueue(task, list(args), kwargs)
    return result


def _call(row: Any, task: Task[..., Any], backend: "backends.DatabaseBackend") -> Call:
    if typed.is_typed(row.args):
        texts = (
            json.dumps(value, ensure_ascii=False) for value in (row.args, row.kwargs)
        )
        return Call([], row.kwargs, *texts)
    return backend.encoder(task)(task, list(row.args), dict(row.kwargs))


def _told(row: Any, tick: datetime, previous: datetime | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "scheduled_for": tick.isoformat(),
        "previous": None if previous is None else previous.isoformat(),
    }


@lru_cache(maxsize=10_000)
def _with_options(
    task: Task[..., Any], queue_name: str, priority: int | None, backend: str
) -> Task[..., Any]:
    # The same object each time: its options are checked once.
    return task.using(
        queue_name=queue_name or None, priority=priority, backend=backend or None
    )
