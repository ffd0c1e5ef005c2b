"""What waits in the table of django-tasks-db."""

from collections.abc import Iterator
from typing import Any

from django.db import models

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.moving.items import Item, Left, portions, told
from dbqueue.compat.moving.jobs import Found, move
from dbqueue.compat.moving.tables import table

# No moment is written as one of this year, so that it is not null.
_NO_MOMENT = 9999

Result = table(
    "django_tasks_database_dbtaskresult",
    id=models.UUIDField(primary_key=True),
    status=models.CharField(max_length=10),
    priority=models.IntegerField(),
    task_path=models.TextField(),
    queue_name=models.TextField(),
    run_after=models.DateTimeField(null=True),
    enqueued_at=models.DateTimeField(),
    args_kwargs=models.JSONField(),
)


def move_jobs(alias: str, backend: DatabaseBackend, *, write: bool) -> Iterator[Item]:
    """Move the rows that wait, under their ids; they are deleted there."""
    rows: Any = Result._default_manager.using(alias)
    ready = rows.filter(status="READY")
    for part in portions(ready, write=write):
        for row in sorted(part, key=lambda row: row.enqueued_at):
            item = Item("job", str(row.pk))
            with told(item, backend.database):
                _move(row, backend, item, write=write)
            if write and item.outcome != "left":
                rows.filter(pk=row.pk)._raw_delete(alias)
            yield item


def _move(row: Any, backend: DatabaseBackend, item: Item, *, write: bool) -> None:
    given = row.args_kwargs
    if not isinstance(given, dict) or not {"args", "kwargs"} <= given.keys():
        raise Left(f"its arguments are damaged: {given!r:.100}")
    after = row.run_after
    found = Found(
        id=row.pk,
        path=row.task_path,
        args=given["args"],
        kwargs=given["kwargs"],
        queue_name=row.queue_name,
        priority=row.priority,
        run_after=None if after is None or after.year >= _NO_MOMENT - 1 else after,
    )
    move(found, backend, item, write=write)
