"""The start of jobs that run, or have run, where their rows are not read."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db.models import Case, F, TextField, When
from django.db.models.functions import Cast, Coalesce

from dbqueue import dialects
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.models import JobState
from dbqueue.models.job import JobQuerySet, UniqueUntil

# What a start gives up, as a claim does: others may have the key from then on.
_KEY = Case(When(unique_until=UniqueUntil.STARTED, then=None), default="unique_key")
_NAMES = (
    *("id", "task", "queue_name", "priority", "backend", "max_attempts"),
    *("attempt", "failures", "lane", "fair_group"),
    *("enqueued_at", "run_after", "started_at", "last_attempted_at"),
)


def start(jobs: JobQuerySet, worker_id: UUID) -> list[ClaimedJob]:
    """Have the worker hold those of the jobs that are ready; return them.

    To be called inside a commit. What has begun elsewhere is not asked whether it may:
    a pause, or a limit, comes too late for it. Their arguments are not read.
    """
    ids = list(jobs.ready().values_list("pk", flat=True))
    now = dialects.of(jobs.db).clock()
    jobs.ready().filter(pk__in=ids).update(
        state=JobState.RUNNING,
        worker_id=worker_id,
        attempt=F("attempt") + 1,
        started_at=Coalesce("started_at", now),
        last_attempted_at=now,
        unique_key=_KEY,
    )
    return held(jobs, worker_id, ids)


def held(jobs: JobQuerySet, worker_id: UUID, ids: Collection[UUID]) -> list[ClaimedJob]:
    """Return those of the jobs that the worker holds, without their arguments."""
    rows = jobs.held_by(worker_id).filter(pk__in=ids)
    context = Cast("context", TextField())
    found = rows.annotate(text=context).values(*_NAMES, "text")
    return [_claimed(**row) for row in found]


def _claimed(text: str, **columns: Any) -> ClaimedJob:
    return ClaimedJob(
        **columns,
        context=text,
        args="[]",
        kwargs="{}",
        progress=None,
        attempt_log="[]",
    )
