"""Jobs that wait for so long that nobody wants them any more."""

from uuid import UUID

from dbqueue import dialects
from dbqueue.jobs.moves import steps
from dbqueue.maintenance.halves import by_halves
from dbqueue.models import Job

BATCH = 500
INTERVAL = 5.0  # seconds between two looks; a claim looks by itself


def expire(alias: str, *, limit: int = BATCH) -> float | None:
    """End up to `limit` jobs that have expired; return 0.0 if there may be more.

    One that is locked is left for the next time.
    """
    if not Job.objects.using(alias).expired().exists():
        return None  # on SQLite, whoever looks must not become the writer

    def some(most: int) -> int:
        with dialects.of(alias).one_commit():
            late = (
                Job.objects.using(alias).expired().select_for_update(skip_locked=True)
            )
            ids = list(late.values_list("pk", flat=True)[:most])
            return len(steps.expire(alias, ids))

    def first() -> UUID | None:
        return Job.objects.using(alias).expired().values_list("pk", flat=True).first()

    ended, tried = by_halves(alias, some, limit, first)
    return 0.0 if ended == tried else None
