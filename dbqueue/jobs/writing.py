"""Jobs that are written in another way than most: many, unique ones, or later."""

import json
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connections
from django.utils import timezone

from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import Calls, Written
from dbqueue.exceptions import ClaimLost
from dbqueue.jobs import events, unique
from dbqueue.jobs.insert import insert, insert_many
from dbqueue.jobs.results import NewResults
from dbqueue.jobs.transactions import warn_of_deferral
from dbqueue.models import Job
from dbqueue.tasks import payload
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task


def place(
    backend: Any, task: Task[..., Any], job: NewJob
) -> tuple[Written | None, JobResult | None]:
    """Write the only job of its key, or return the result of the one that stands.

    See unique.place(). Workers are told of one that was replaced: it may be due now.
    """
    written, stands = unique.place(backend.database, task, job)
    if stands is not None:
        _tell_of_replaced(backend, task, job, {stands.state})
    return written, stands


def write_many(
    backend: Any, task: Task[..., Any], job: NewJob, calls: Calls
) -> Sequence[JobResult]:
    """Write a job for each call, and return the results in order."""
    if task.unique is not None:
        placed = unique.place_many(backend.database, task, job, calls)
        if placed.has_new():
            backend.wake(backend.database, job, placed.first, calls)
        _tell_of_replaced(backend, task, job, placed.states)
        events.enqueued(type(backend), placed.new())
        return placed
    written = insert_many(backend.database, job, calls)
    if written:
        backend.wake(backend.database, job, written[0], calls)
    results = NewResults(task, job, calls, written)
    events.enqueued(type(backend), results)
    return results


def defer(
    backend: Any, task: Task[..., Any], job: NewJob, calls: Calls, other: str
) -> Sequence[JobResult]:
    """Write the jobs after the commit of the transaction on another database."""
    warn_of_deferral(task.module_path, other=other, database=backend.database)
    connections[other].on_commit(partial(_write, backend, task, job, calls))
    return NewResults.expected(task, job, calls)


def replace_arguments(alias: str, result: JobResult, call: payload.Call) -> None:
    """Give a job that runs, as the result has it, the arguments of its next attempts.

    Raises ClaimLost.
    """
    rows = Job.objects.using(alias).held_by(UUID(result.worker_ids[-1]))
    mine = rows.filter(pk=result.id, attempt=result.attempt)
    args, kwargs = json.loads(call.args_text), json.loads(call.kwargs_text)
    if not mine.update(args=args, kwargs=kwargs):
        raise ClaimLost(f"Job {result.id} was taken over: its arguments stay.")


def _write(backend: Any, task: Task[..., Any], job: NewJob, calls: Calls) -> None:
    if not task.job_id:
        write_many(backend, task, job, calls)
        return
    written, stands = None, None
    if task.unique is not None:
        written, stands = place(backend, task, job)
    if written is None and stands is None:
        written = insert(backend.database, job, once=True)
    if written is not None:
        backend.wake(backend.database, job, written)
        events.enqueued(type(backend), NewResults(task, job, calls, [written]))


def _tell_of_replaced(
    backend: Any, task: Task[..., Any], job: NewJob, states: Collection[str]
) -> None:
    if task.unique is None or task.unique.on_conflict != "replace":
        return
    for state in states:
        backend.wake(backend.database, job, Written(state, timezone.now(), None))
