"""What has ended in a cluster of django-q2, as records of finished jobs."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import router
from django_q.models import Task

from dbqueue.compat.django_q2 import results
from dbqueue.compat.django_q2.models import Call
from dbqueue.compat.moving.items import Item, portions, told
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs.moves.choosing import storing_backend
from dbqueue.models import FinishedJob, JobState
from dbqueue.tasks import payload


def move_history(*, write: bool) -> Iterator[Item]:
    """Copy what has ended, under the same ids; django-q2's rows stay.

    Values that JSON has not are kept as the text that Python shows of them.
    """
    rows = Task.objects.using(router.db_for_write(Task))
    for part in portions(rows, write=False):
        for row in part:
            item = Item("record", row.pk, row.func)
            with told(item, results.alias()):
                _move(row, item, write=write)
            yield item


def _move(row: Any, item: Item, *, write: bool) -> None:
    id, alias = UUID(row.pk), results.alias()
    item.to = str(id)
    rows = FinishedJob.objects.using(alias)
    if rows.filter(pk=id).exists():
        item.outcome = "there"
    elif write:
        made = _record(row, id)
        rows.bulk_create([made])
        Call.objects.using(alias).bulk_create(
            [Call(job_id=id, name=row.name, group=row.group, made_at=row.started)],
            ignore_conflicts=True,
        )


def _record(row: Any, id: UUID) -> FinishedJob:
    task = storing_backend(None)
    state = JobState.SUCCESSFUL if row.success else JobState.FAILED
    return FinishedJob(
        id=id,
        task=row.func,
        queue_name=row.cluster or "default",
        backend=task.alias,
        state=state,
        attempt=row.attempt_count,
        failures=row.attempt_count - bool(row.success),
        max_attempts=max(1, row.attempt_count),
        args=_plain(list(row.args or ())),
        kwargs=_plain(dict(row.kwargs or {})),
        attempt_log=[] if row.success else [_failure(row)],
        enqueued_at=row.started,
        finished_at=row.stopped,
        result=_plain(row.result) if row.success else None,
    )


def _failure(row: Any) -> dict[str, Any]:
    said = payload.printable(str(row.result or ""))
    return {
        "attempt": row.attempt_count,
        "ended_at": row.stopped.isoformat(),
        "reason": "failed",
        "exception": "builtins.Exception",
        "message": said.partition(" : ")[0][:500],
        "traceback": said[-8000:],
    }


def _plain(value: Any) -> Any:
    try:
        return payload.normalize(value, "A value")
    except (InvalidPayload, RecursionError):
        if isinstance(value, list):
            return [_plain(item) for item in value]
        if isinstance(value, dict):
            return {str(key): _plain(item) for key, item in value.items()}
        return payload.printable(repr(value))
