"""How long the records of jobs stay that ended without their task's doing."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from dbqueue import dialects
from dbqueue.dialects.rows import EVER, MovedJob
from dbqueue.models import FinishedJob
from dbqueue.tasks.defaults import placed
from dbqueue.tasks.registry import in_name


def keep_of(path: str, queue_name: str, backend: str | None = None) -> float | None:
    """Return the seconds that a job's task or its queue says; None if it says none.

    Nothing is imported for it.
    """
    task = in_name(path)
    return placed(task, queue_name, backend or task.backend).keep


def keep(alias: str, jobs: Sequence[MovedJob]) -> None:
    """Note in the history how long these jobs stay, in the commit that ended them."""
    those: dict[float, list[UUID]] = {}
    for job in jobs:
        seconds = keep_of(job.task, job.queue_name)
        if seconds is not None:
            those.setdefault(min(seconds, EVER), []).append(job.id)
    for seconds, ids in those.items():
        until = dialects.of(alias).clock() + timedelta(seconds=seconds)
        FinishedJob.objects.using(alias).filter(pk__in=ids).update(keep_until=until)
