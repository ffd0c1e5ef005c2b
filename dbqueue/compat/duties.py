"""The keepers' share: what compatible packages leave, and nobody will read."""

from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError
from django.db.models import Exists, OuterRef
from django.utils import timezone

from dbqueue import dialects
from dbqueue.compat.django_q2.forgetting import forget, forget_calls
from dbqueue.compat.models import SpoolBody
from dbqueue.ids import uuid7_at
from dbqueue.maintenance import duties
from dbqueue.models import FinishedJob, Job, JobState

INTERVAL, RARELY = 60.0, 600.0  # seconds
BATCH = 100  # pieces that are deleted at a time
# A job whose insert waits for the commit of another database is not there yet.
WAITS = timedelta(hours=1)


def prune_bodies(alias: str) -> float | None:
    """Delete bodies of jobs that were successful, or that are forgotten."""
    pieces = SpoolBody.objects.using(alias)
    try:
        found = _unread(alias)
    except DatabaseError as error:
        if not dialects.of(alias).is_missing_table(error):
            raise
        return None
    pieces.filter(pk__in=found).delete()
    return 0.0 if len(found) == BATCH else None  # there may be more


def _unread(alias: str) -> list[UUID]:
    pieces, mine = SpoolBody.objects.using(alias), OuterRef("job_id")
    ended = FinishedJob.objects.using(alias).filter(pk=mine)
    used = pieces.filter(Exists(ended.filter(state=JobState.SUCCESSFUL)))
    found = list(used.values_list("pk", flat=True)[:BATCH])
    if not found:
        jobs = Job.objects.using(alias).filter(pk=mine)
        old = uuid7_at((timezone.now() - WAITS).timestamp(), "")
        gone = pieces.filter(~Exists(jobs), ~Exists(ended), job_id__lt=old)
        found = list(gone.values_list("pk", flat=True)[:BATCH])
    return found


duties.register(INTERVAL, prune_bodies)
duties.register(RARELY, forget)
duties.register(RARELY, forget_calls)
