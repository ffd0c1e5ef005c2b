"""Scheduled jobs made ready when they are due."""

import logging
from uuid import UUID

from django.db import Error

from dbqueue import dialects
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs import outcomes
from dbqueue.models import Job

logger = logging.getLogger(__name__)

BATCH = 1000
NOBODY = UUID(int=0)  # a worker that there is not


def promote(alias: str, *, limit: int = BATCH) -> set[str]:
    """Make up to `limit` jobs ready that are due; return their queues."""
    dialect = dialects.of(alias)
    while True:
        try:
            return dialect.promote(limit)
        except Exception as error:
            is_refused = dialect.refuses(error)
            too_slow = isinstance(error, Error) and dialect.is_cancelled(error)
            if not (is_refused or (too_slow and limit > 1)):
                raise
            if limit == 1 and not _set_aside_first(alias, error):
                raise
            limit = max(1, limit // 2)


def _set_aside_first(alias: str, error: Exception) -> bool:
    """End the first due job, which the database refuses to make ready."""
    dialect = dialects.of(alias)
    due = Job.objects.using(alias).scheduled().filter(run_after__lte=dialect.clock())
    first = due.order_by("run_after").values_list("pk", flat=True).first()
    reason = InvalidPayload(f"The database refused this row: {error}")
    if first is None or not dialect.set_aside(first, NOBODY, outcomes.broken(reason)):
        return False
    logger.error("Job id=%s state=FAILED: %s", first, reason)
    return True
