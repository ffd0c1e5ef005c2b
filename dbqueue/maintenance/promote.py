"""Scheduled jobs made ready when they are due."""

from uuid import UUID

from dbqueue import dialects
from dbqueue.maintenance.halves import by_halves
from dbqueue.models import Job

BATCH = 1000


def promote(alias: str, *, limit: int = BATCH) -> set[str]:
    """Make up to `limit` jobs ready that are due; return their queues.

    Those with a lane are let in by its gate, as far as there is room.
    """
    dialect = dialects.of(alias)

    def some(most: int) -> set[str]:
        return dialect.promote(most) | dialect.open_due()

    def first() -> UUID | None:
        due = Job.objects.using(alias).scheduled()
        due = due.filter(run_after__lte=dialect.clock()).order_by("run_after")
        return due.values_list("pk", flat=True).first()

    return by_halves(alias, some, limit, first)[0]
