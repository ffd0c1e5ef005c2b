"""One job of another queue, as a job here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dbqueue.backend import DatabaseBackend
from dbqueue.compat.moving.items import Item
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks import registry


@dataclass(slots=True)
class Found:
    """What waits elsewhere: the path of its task, its arguments, and when it is due."""

    id: UUID
    path: str
    args: Any
    kwargs: Mapping[str, Any]
    queue_name: str | None = None
    priority: int | None = None
    run_after: datetime | None = None
    expires: datetime | None = None


def move(found: Found, backend: DatabaseBackend, item: Item, *, write: bool) -> None:
    """Enqueue it, under its id, unless it is there. Raises what enqueue() raises."""
    item.what, item.to = found.path, str(found.id)
    for model in (Job, FinishedJob):
        rows: Any = model._default_manager.using(backend.database)
        if rows.filter(pk=found.id).exists():
            item.outcome = "there"
            return
    task = registry.resolve(found.path).using(
        queue_name=found.queue_name,
        priority=found.priority,
        run_after=found.run_after,
        expires=found.expires,
        job_id=found.id,
        backend=backend.alias,
    )
    if write:
        backend.enqueue(task, list(found.args), dict(found.kwargs))
    else:
        backend.validate_task(task)
        backend.encoder(task)(task, list(found.args), dict(found.kwargs))
