"""What waits in the table of procrastinate."""

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.utils import timezone

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.moving.items import Item, id_of, portions, told
from dbqueue.compat.moving.jobs import Found, move
from dbqueue.compat.moving.tables import table

Waiting = table(
    "procrastinate_jobs",
    id=models.BigAutoField(primary_key=True),
    queue_name=models.TextField(),
    task_name=models.TextField(),
    priority=models.IntegerField(),
    lock=models.TextField(null=True),
    args=models.JSONField(),
    status=models.TextField(),
    scheduled_at=models.DateTimeField(null=True),
)
_PRIORITIES = (-100, 100)


def move_jobs(alias: str, backend: DatabaseBackend, *, write: bool) -> Iterator[Item]:
    """Move the rows that wait; they are deleted there."""
    rows: Any = Waiting._default_manager.using(alias)
    for part in portions(rows.filter(status="todo"), write=write):
        for row in part:
            item = Item("job", str(row.pk), row.task_name)
            with told(item, backend.database):
                move(_found(row), backend, item, write=write)
            if write and item.outcome != "left":
                rows.filter(pk=row.pk)._raw_delete(alias)
            if row.lock and item.outcome == "moved":
                item.note = "its lock is not kept; a limit of the task can do the same"
            yield item


def _found(row: Any) -> Found:
    lowest, highest = _PRIORITIES
    due = row.scheduled_at
    return Found(
        id=id_of("procrastinate", row.pk),
        path=row.task_name,
        args=(),
        kwargs=row.args,
        queue_name=row.queue_name,
        priority=max(lowest, min(highest, row.priority)),
        run_after=due if due is not None and due > timezone.now() else None,
    )
