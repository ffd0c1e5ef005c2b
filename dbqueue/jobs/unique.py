"""Jobs of a task that is unique: written, or answered by the one that stands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from django.db import transaction
from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.placing import KEY, new
from dbqueue.dialects.rows import Calls, Written
from dbqueue.exceptions import AlreadyEnqueued, JobIdTaken
from dbqueue.jobs import insert
from dbqueue.jobs.insert import migrated, starts
from dbqueue.jobs.results import NewResults, job_result, stored_result
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.tasks.payload import UNREADABLE
from dbqueue.tasks.registry import in_name
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task
from dbqueue.tasks.unique import Unique

_TEXTS = {"args", "kwargs", "context", "progress", "attempt_log", "result"}


def place(
    database: str, task: Task[..., Any], job: NewJob
) -> tuple[Written | None, JobResult | None]:
    """Write the job, or return the result of the one that stands in its place.

    Return neither for a call that has no key, and so is not unique. Raises
    AlreadyEnqueued, JobIdTaken, InvalidTask and MigrationsNotApplied.
    """
    unique, more, once = _of(task), dict(job.more or {}), task.job_id is not None
    key = more.pop(KEY)
    if key is None:
        return None, None
    job = replace(job, more=more)
    with migrated(database):
        placed = dialects.of(database).place(job, key, once=once)
    if placed.is_new:
        return new(placed), None
    result = told_result(placed.columns, task, job)
    if placed.columns["id"] == job.id:
        return None, existing(task, job, result)
    return None, answered(unique, key, result)


def existing(task: Task[..., Any], job: NewJob, result: JobResult) -> JobResult:
    """Return the result of the job that has the chosen id. Raises JobIdTaken."""
    if result.task.module_path != task.module_path:
        raise JobIdTaken(
            f"job_id {str(job.id)!r} belongs to a job of {result.task.module_path!r}, "
            f"not of {task.module_path!r}."
        )
    return standing(result)


def place_many(
    database: str, task: Task[..., Any], job: NewJob, calls: Calls
) -> "PlacedResults":
    """Write a job for each call, or find the one that stands in its place.

    Raises AlreadyEnqueued, having written nothing, InvalidTask, MigrationsNotApplied.
    """
    unique, more = _of(task), dict(calls.more)
    own = dict(job.more or {})
    keys = more.pop(KEY, None) or [own.pop(KEY, None)] * len(calls.ids)
    calls, job = calls._replace(more=more), replace(job, more=own)
    counts = winners(unique, keys)
    stand: dict[int, int | Mapping[str, Any]] = {
        p: counts[key] for p, key in enumerate(keys) if key and counts[key] != p
    }
    left = [place for place in range(len(keys)) if place not in stand]
    # Of two lists with some of the same keys, one waits for the other, and never both.
    left.sort(key=lambda place: keys[place] or "")
    written, rows = None, dict[str, dict[str, Any]]()
    with migrated(database), transaction.atomic(using=database):
        for some in _chunks(calls, left):
            # They run in the order of the calls: all are enqueued at one moment.
            found = dialects.of(database).place_many(
                job,
                calls.of(some),
                [keys[place] for place in some],
                at=written.enqueued_at if written else None,
            )
            written, rows = written or found.written, rows | found.stand
        for key, columns in rows.items():
            if unique.on_conflict == "raise":
                answered(unique, key, told_result(columns, task, job))
            stand[counts[key]] = columns
    return PlacedResults(task, job, calls, written or Written.now(job), stand)


class PlacedResults(NewResults):
    """The results of a list, of which some jobs stood before, or are in it twice."""

    def __init__(
        self,
        task: Task[..., Any],
        job: NewJob,
        calls: Calls,
        written: Written,
        stand: Mapping[int, int | Mapping[str, Any]],
    ) -> None:
        super().__init__(task, job, calls, [written] * len(starts(calls)))
        # The place of the call that counts, or the columns of the job that stands.
        self._stand = stand
        self._task = task
        self.first = written
        # The states of those.
        self.states = {s["state"] for s in stand.values() if not isinstance(s, int)}

    def new(self) -> Iterator[JobResult]:
        """Yield the results of the jobs that were written."""
        for place in range(len(self)):
            if place not in self._stand:
                yield self._at(place)

    def has_new(self) -> bool:
        return len(self._stand) < len(self)

    def _at(self, place: int) -> JobResult:
        found = self._stand.get(place)
        if found is None:
            return super()._at(place)
        if isinstance(found, int):
            return standing(self._at(found))
        if place not in self._made:
            self._made[place] = told_result(found, self._task, self._job)
        return self._made[place]


def _of(task: Task[..., Any]) -> Unique:
    assert task.unique is not None
    return task.unique


def winners(unique: Unique, keys: Sequence[str | None]) -> dict[str, int]:
    """Return the place of the call that counts, by its key. Raises AlreadyEnqueued."""
    found: dict[str, int] = {}
    for place, key in enumerate(keys):
        if key is None:
            continue
        if key in found and unique.on_conflict == "raise":
            raise AlreadyEnqueued(
                f"Call {place + 1} has the key {key!r}, and so has call "
                f"{found[key] + 1}. Nothing was enqueued."
            )
        if unique.on_conflict == "replace":
            found[key] = place
        else:
            found.setdefault(key, place)
    return found


def _chunks(calls: Calls, places: Sequence[int]) -> Iterator[Sequence[int]]:
    first = calls.of(places).chunks(insert.CHUNK, insert.CHUNK_SIZE)
    for start, end in zip_longest(first, first[1:]):
        yield places[start:end]


def standing(result: JobResult) -> JobResult:
    """Return the result as that of a job which this call has not written."""
    other = copy(result)
    object.__setattr__(other, "was_enqueued", False)
    return other


def told_result(
    columns: Mapping[str, Any], task: Task[..., Any], job: NewJob
) -> JobResult:
    """Return the result of a job that stands; of one that was pruned, its id is left.

    Its task is not imported, if it is not that of the call.
    """
    if columns["task"] is None:
        gone = job_result(
            task,
            replace(job, id=columns["id"]),
            state=JobState.READY,  # as it was written
            args=[],
            kwargs={},
            enqueued_at=timezone.now(),
        )
        return standing(gone)
    kind = Job if columns["finished_at"] is None else FinishedJob
    names = {field.attname for field in kind._meta.concrete_fields}
    row = kind(**{name: columns[name] for name in columns.keys() & names})
    for name in _TEXTS & names:
        setattr(row, name, _parsed(columns[name]))
    is_own = columns["task"] == task.module_path
    return standing(stored_result(row, task if is_own else in_name(row.task)))


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except UNREADABLE:
        return text  # null, or damaged by hand


def answered(unique: Unique, key: str, result: JobResult) -> JobResult:
    """Return the result of the job that stands. Raises AlreadyEnqueued."""
    if unique.on_conflict != "raise":
        return result
    raise AlreadyEnqueued(
        f"A job with the key {key!r} stands: {result.id}, {result.state}. Nothing was "
        "enqueued; on_conflict='skip' returns that one.",
        result,
    )
