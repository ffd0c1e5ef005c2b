"""The results of django_celery_results as the history of dbqueue."""

import ast
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from dbqueue.compat.celery.app import making
from dbqueue.compat.celery.move import tables
from dbqueue.compat.celery.run import carried
from dbqueue.compat.moving.tables import is_there
from dbqueue.exceptions import InvalidPayload
from dbqueue.models import FinishedJob, JobState
from dbqueue.tasks import payload

PORTION = 500
_STATES = {
    "SUCCESS": JobState.SUCCESSFUL,
    "FAILURE": JobState.FAILED,
    "REVOKED": JobState.CANCELLED,
}


def brought(source: str, target: str, *, dry: bool) -> Counter[str]:
    """Bring the results of one database to another; return how many of each state.

    A result whose id is there already is counted as "known", one that has not ended as
    "unfinished"; both are left out. With `dry` nothing is written.
    """
    counts = Counter[str]()
    if not is_there(tables.TaskResult, source):
        return counts
    for rows in _portions(source):
        ended = [row for row in rows if row.status in _STATES]
        counts["unfinished"] += len(rows) - len(ended)
        made = {job.id: job for job in map(_finished, ended)}
        known = FinishedJob.objects.using(target).filter(pk__in=made)
        for id in known.values_list("pk", flat=True):
            del made[id]
        counts["known"] += len(ended) - len(made)
        counts.update(str(job.state) for job in made.values())
        if not dry:
            jobs = FinishedJob.objects.using(target)
            jobs.bulk_create(made.values(), ignore_conflicts=True)
    return counts


def _portions(source: str) -> Iterator[list[Any]]:
    rows, last = tables.TaskResult._default_manager.using(source).order_by("pk"), 0
    while portion := list(rows.filter(pk__gt=last)[:PORTION]):
        yield portion
        last = portion[-1].pk


def _finished(row: Any) -> FinishedJob:
    state, name = _STATES[row.status], row.task_name or "unknown"
    known = making.tasks.get(name)
    value, error = _json(row.result), {}
    if state == JobState.FAILED:
        value, error = None, _error(row, value)
    log = [error] if error else []
    if state == JobState.CANCELLED:
        log = [_record(row, "cancelled") | {"why": "It was revoked under Celery."}]
    return FinishedJob(
        id=carried.job_id(row.task_id),
        task=(known.path if known is not None else name)[:255],
        queue_name="default",
        backend="default",
        state=state,
        attempt=1,
        failures=1 if error else 0,
        max_attempts=1,
        worker_id=carried.job_id(row.worker) if row.worker else None,
        args=_arguments(row.task_args, list),
        kwargs=_arguments(row.task_kwargs, dict),
        attempt_log=log,
        enqueued_at=_as_kept(row.date_created),
        finished_at=_as_kept(row.date_done),
        result=_kept(value),
        exception=error.get("exception"),
    )


def _error(row: Any, value: Any) -> dict[str, Any]:
    found = value if isinstance(value, dict) else {}
    module, name = found.get("exc_module"), found.get("exc_type") or "Exception"
    words = found.get("exc_message") or ""
    if isinstance(words, list):
        words = ", ".join(map(str, words))
    return _record(row, "failed") | {
        "exception": f"{module or 'builtins'}.{name}"[:255],
        "message": payload.printable(str(words)),
        "traceback": payload.printable(row.traceback or "")[-8000:],
    }


def _record(row: Any, reason: str) -> dict[str, Any]:
    return {
        "attempt": 1,
        "worker": str(carried.job_id(row.worker)) if row.worker else "",
        "started_at": row.date_created.isoformat(),
        "ended_at": row.date_done.isoformat(),
        "reason": reason,
    }


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return text


def _arguments(text: str | None, kind: type) -> Any:
    """Return the arguments of a task, of which the table has a picture, often cut."""
    value = _json(text)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = ["…", value] if kind is list else {"…": value}
    if isinstance(value, tuple):
        value = list(value)
    kept = _kept(value)
    return kept if isinstance(kept, kind) else kind()


def _kept(value: Any) -> Any:
    try:
        return payload.normalize(value, "It")
    except InvalidPayload:
        return payload.printable(str(value))


def _as_kept(moment: Any) -> Any:
    """Return the moment as rows of this project have it, aware or naive."""
    from_aware = timezone.is_aware(moment)
    if from_aware == timezone.is_aware(timezone.now()):
        return moment
    if from_aware:
        return timezone.make_naive(moment)
    return timezone.make_aware(moment)
