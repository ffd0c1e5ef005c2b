"""Scheduled jobs made ready when they are due."""

from uuid import UUID

from django.db import Error

from dbqueue import dialects
from dbqueue.jobs.refusals import set_aside
from dbqueue.models import Job

BATCH = 1000
NOBODY = UUID(int=0)  # a worker that there is not


def promote(alias: str, *, limit: int = BATCH) -> set[str]:
    """Make up to `limit` jobs ready that are due; return their queues.

    Those with a lane are let in by its gate, as far as there is room.
    """
    dialect = dialects.of(alias)
    while True:
        try:
            return dialect.promote(limit) | dialect.open_due()
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
    return first is not None and set_aside(dialect, first, NOBODY, error)
