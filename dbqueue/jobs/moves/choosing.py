"""Jobs found by their ids, and by what they have in common."""

from collections.abc import Iterable
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import Q, QuerySet

from dbqueue import dialects
from dbqueue.conf import nearest
from dbqueue.jobs.insert import migrated
from dbqueue.jobs.moves.selection import Selection
from dbqueue.jobs.results import find_row, stored_result
from dbqueue.models import FinishedJob, Job, JobRecord, JobState
from dbqueue.tasks.framework import (
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    task_backends,
)
from dbqueue.tasks.framework import Task as DjangoTask
from dbqueue.tasks.moves import twin
from dbqueue.tasks.options import check_backend
from dbqueue.tasks.registry import in_name
from dbqueue.tasks.results import JobResult

# A job by its id, its result or its row.
One: TypeAlias = str | UUID | JobResult | JobRecord
Which: TypeAlias = One | Iterable[One] | QuerySet[Any] | Selection


def get(id: str | UUID, *, backend: str | None = None) -> JobResult:
    """Return the result of a job; its task need not be importable.

    `backend` is an alias in TASKS, default the first that is dbqueue's. Raises
    TaskResultDoesNotExist for an id that is malformed, unknown or of another database.
    """
    try:
        known = _as_id(id)
    except ValueError as error:
        raise TaskResultDoesNotExist(str(error)) from None
    alias = storing_backend(backend).database
    with migrated(alias):
        row = find_row(alias, known)
    if row is None:
        raise TaskResultDoesNotExist(f"No job has the id {str(id)!r}.")
    return stored_result(row, in_name(row.task))


def filter(
    *, backend: str | None = None, exception: Any = None, **conditions: Any
) -> Selection:
    """Return the jobs, unfinished and finished, that have all of this in common.

    The conditions are columns of the tables, with the lookups of Django's filter():
    queue_name, task, state, priority, enqueued_at__lt, … `exception` is the class by
    which jobs have FAILED, or its name, with or without its module. Raises ValueError
    for an unknown column or state.
    """
    chosen = storing_backend(backend)
    alias = chosen.database
    found: dict[type[JobRecord], Any] = {}
    for model in (Job, FinishedJob):
        rows: Any = model._default_manager.using(alias)
        if exception is not None:
            rows = (
                rows.filter(_raised(alias, exception)) if model is FinishedJob else None
            )
        found[model] = _narrowed(rows, model, conditions)
    return Selection(chosen, alias, unfinished=found[Job], finished=found[FinishedJob])


def choose(which: Which, *, backend: str | None = None) -> Selection:
    """Return jobs as a Selection: by id, result or row, several of them, a QuerySet.

    Raises ValueError for a malformed id, TypeError for what names no job.
    """
    if isinstance(which, Selection):
        return which
    if isinstance(which, QuerySet):
        return _of_rows(which, backend)
    if isinstance(which, str | UUID | JobResult | JobRecord):
        which = [which]
    if not isinstance(which, Iterable):
        raise TypeError(f"{which!r} names no job: give its id, or several of them.")
    several = list(which)
    for one in several:
        if backend is None and isinstance(one, JobResult):
            backend = one.backend
    chosen = storing_backend(backend)
    return Selection(chosen, chosen.database, ids=[_as_id(one) for one in several])


aget = twin(get)


def storing_backend(alias: str | None) -> Any:
    """Return the backend of the alias, or the first that keeps jobs."""
    if alias is not None:
        check_backend(alias)
    for name in task_backends.settings if alias is None else [alias]:
        backend = task_backends[name]
        if getattr(backend, "stores_jobs", False):
            return backend
    where = "No entry of TASKS" if alias is None else f"TASKS[{alias!r}]"
    raise InvalidTaskBackend(
        f"{where} is {'' if alias is None else 'not '}a dbqueue backend that keeps "
        "jobs in a database."
    )


def _of_rows(rows: QuerySet[Any], backend: str | None) -> Selection:
    if rows.model not in (Job, FinishedJob):
        raise TypeError(f"{rows.model.__name__} rows are no jobs.")
    chosen = storing_backend(backend)
    if rows.query.is_sliced:  # it cannot be narrowed any more
        ids = list(rows.values_list("pk", flat=True))
        return Selection(chosen, rows.db, ids=ids)
    unfinished = rows if rows.model is Job else None
    finished = rows if rows.model is FinishedJob else None
    return Selection(chosen, rows.db, unfinished=unfinished, finished=finished)


def _narrowed(rows: Any, model: type[JobRecord], conditions: dict[str, Any]) -> Any:
    """Return the rows that meet the conditions; None if the table lacks a column."""
    columns: dict[type[JobRecord], set[str]] = {
        table: {"pk", *(field.name for field in table._meta.fields)}
        for table in (Job, FinishedJob)
    }
    for name, value in conditions.items():
        column = name.partition("__")[0]
        if not any(column in names for names in columns.values()):
            near = nearest(column, set().union(*columns.values()))
            raise ValueError(f"Jobs have no column {column!r}.{near}")
        if rows is None or column not in columns[model]:
            rows = None
        else:
            rows = rows.filter(**{name: _value(name, value)})
    return rows


def _value(name: str, value: Any) -> Any:
    if name == "task" and isinstance(value, DjangoTask):
        return value.module_path
    if name == "state" and value not in JobState.values:
        raise ValueError(f"No job is {value!r}.{nearest(str(value), JobState.values)}")
    return value


def _raised(alias: str, exception: Any) -> Q:
    """Return the condition for jobs that have FAILED by an exception."""
    if isinstance(exception, type):
        exception = f"{exception.__module__}.{exception.__qualname__}"
    if not isinstance(exception, str):
        raise TypeError(f"exception={exception!r} must be a class or its name.")
    known = dialects.of(alias).exceptions()
    paths = [p for p in known if p == exception or p.endswith(f".{exception}")]
    return Q(exception__in=paths)


def _as_id(one: Any) -> UUID:
    if isinstance(one, JobRecord):
        return UUID(str(one.pk))
    text = str(one.id if isinstance(one, JobResult) else one)
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a job id.") from None
