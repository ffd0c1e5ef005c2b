"""Task: what django-q2 tells of a task that has ended, read from the job's record."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue import jobs
from dbqueue.compat.django_q2.models import Call
from dbqueue.jobs.moves.choosing import storing_backend
from dbqueue.jobs.results import stored_result
from dbqueue.models import FinishedJob, JobState
from dbqueue.tasks.context import JobContext
from dbqueue.tasks.framework import TaskResultDoesNotExist
from dbqueue.tasks.registry import in_name
from dbqueue.tasks.results import JobResult

# The task of the jobs whose function is among their arguments.
WRAPPER = "dbqueue.compat.django_q2.work.call"
_ENDS = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)
_MOST = 1000  # jobs of a group that are asked for at a time


@dataclass(slots=True)
class Task:
    """A task that has ended; `result` of one that failed says why, as text."""

    id: str
    name: str
    func: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Any
    success: bool
    started: datetime
    stopped: datetime
    attempt_count: int
    hook: str | None = None
    group: str | None = None
    cluster: str | None = field(default=None)

    def __str__(self) -> str:
        return self.name

    def time_taken(self) -> float:
        """Return the seconds from the enqueue to the end."""
        return (self.stopped - self.started).total_seconds()

    def group_result(self, failures: bool = False) -> list[Any] | None:
        found = group(self.group, failures=failures) if self.group else []
        return [one.result for one in found] or None

    def group_count(self, failures: bool = False) -> int | None:
        return count(self.group, failures=failures) if self.group else None

    def group_delete(self, tasks: bool = False) -> int | None:
        return delete(self.group, tasks=tasks) if self.group else None


def find(task_id: Any) -> JobResult | None:
    """Return the job of an id or a name; None if there is none."""
    try:
        id = UUID(str(task_id))
    except ValueError:
        named = _calls().filter(name=str(task_id)).order_by("-pk")
        found = named.values_list("pk", flat=True).first()
        if found is None:
            return None
        id = found
    try:
        return jobs.get(id)
    except TaskResultDoesNotExist:
        return None


def ended(task_id: Any) -> Task | None:
    """Return the task that has ended of an id or a name."""
    found = find(task_id)
    if found is None or found.state not in _ENDS:
        return None
    return _of(found, _calls().filter(pk=UUID(found.id)).first())


def group(name: str, *, failures: bool) -> list[Task]:
    """Return the tasks of a group that have ended, in the order of their enqueue."""
    made = []
    for rows, calls in _parts(name):
        wanted = rows if failures else rows.filter(state=JobState.SUCCESSFUL)
        for row in wanted.order_by("pk"):
            made.append(_of(stored_result(row, in_name(row.task)), calls[row.pk]))
    return made


def count(name: str, *, failures: bool) -> int:
    """Count the tasks of a group that have ended; with `failures`, those that failed.

    As in django-q2, which counts differently from what it lists.
    """
    total = 0
    for rows, _ in _parts(name):
        lost = rows.exclude(state=JobState.SUCCESSFUL)
        total += (lost if failures else rows).count()
    return total


def delete(name: str, *, tasks: bool) -> int:
    """Forget a group, and with `tasks` the records of its jobs; return how many."""
    ids = list(_calls().filter(group=name).values_list("pk", flat=True))
    if tasks:
        ids = [id for part in _in_parts(ids) for id in _finished(part)]
        for part in _in_parts(ids):
            jobs.discard(part)
            _calls().filter(pk__in=part)._raw_delete(alias())
        return len(ids)
    return int(_calls().filter(group=name).update(group=None))


def of_attempt(
    context: JobContext,
    path: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    how: Mapping[str, Any],
    value: Any,
    *,
    success: bool,
) -> Task:
    """Return what a hook is told of the attempt that has just ended."""
    found = context.task_result
    return Task(
        id=UUID(found.id).hex,
        name=how.get("name") or UUID(found.id).hex,
        func=path,
        args=tuple(args),
        kwargs=kwargs,
        result=value if success else f"{value} : {type(value).__name__}",
        success=success,
        started=found.enqueued_at or timezone.now(),
        stopped=timezone.now(),
        attempt_count=found.attempts,
        hook=how.get("hook"),
        group=how.get("group"),
        cluster=found.task.queue_name,
    )


def _of(found: JobResult, call: Call | None) -> Task:
    path, args, kwargs = found.task.module_path, found.args, found.kwargs
    how: Mapping[str, Any] = {}
    if path == WRAPPER and len(args) == 4:
        path, args, kwargs, how = args
    success = found.state == JobState.SUCCESSFUL
    id = UUID(found.id).hex
    return Task(
        id=id,
        name=call.name if call else id,
        func=path,
        args=tuple(args),
        kwargs=kwargs,
        result=found.return_value if success else _why(found),
        success=success,
        started=found.enqueued_at or timezone.now(),
        stopped=found.finished_at or timezone.now(),
        attempt_count=found.attempts,
        hook=how.get("hook"),
        group=call.group if call else None,
        cluster=found.task.queue_name,
    )


def _why(found: JobResult) -> str:
    if not found.errors:
        return f"It was {found.state.lower()}."
    return str(found.errors[-1].traceback)


def _parts(name: str) -> Iterable[tuple[Any, dict[UUID, Call]]]:
    calls = {call.pk: call for call in _calls().filter(group=name)}
    for part in _in_parts(list(calls)):
        yield FinishedJob.objects.using(alias()).filter(pk__in=part), calls


def _finished(ids: list[UUID]) -> list[UUID]:
    rows = FinishedJob.objects.using(alias()).filter(pk__in=ids)
    return list(rows.values_list("pk", flat=True))


def _in_parts(ids: list[UUID]) -> Iterable[list[UUID]]:
    return (ids[first : first + _MOST] for first in range(0, len(ids), _MOST))


def _calls() -> Any:
    return Call.objects.using(alias())


def alias() -> str:
    return str(storing_backend(None).database)
