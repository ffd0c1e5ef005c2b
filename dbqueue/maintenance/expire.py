"""Jobs that wait for so long that nobody wants them any more."""

from django.db import Error

from dbqueue import dialects
from dbqueue.jobs.moves import steps
from dbqueue.jobs.refusals import set_aside
from dbqueue.maintenance.promote import NOBODY
from dbqueue.models import Job

BATCH = 500
INTERVAL = 5.0  # seconds between two looks; a claim looks by itself


def expire(alias: str, *, limit: int = BATCH) -> float | None:
    """End up to `limit` jobs that have expired; return 0.0 if there may be more.

    One that is locked is left for the next time.
    """
    if not Job.objects.using(alias).expired().exists():
        return None  # on SQLite, whoever looks must not become the writer
    dialect = dialects.of(alias)
    try:
        return 0.0 if _expire(alias, limit) == limit else None
    except Exception as error:
        is_refused = dialect.refuses(error)
        too_slow = isinstance(error, Error) and dialect.is_cancelled(error)
        if not (is_refused or (too_slow and limit > 1)):
            raise
        if limit == 1 and not _set_aside_first(alias, error):
            raise
        return expire(alias, limit=max(1, limit // 2))


def _expire(alias: str, limit: int) -> int:
    with dialects.of(alias).one_commit():
        late = Job.objects.using(alias).expired()
        free = late.select_for_update(skip_locked=True).values_list("pk", flat=True)
        ids = list(free[:limit])
        return len(steps.expire(alias, ids))


def _set_aside_first(alias: str, error: Exception) -> bool:
    """End the first of them, which the database refuses to move."""
    late = Job.objects.using(alias).expired().values_list("pk", flat=True)
    first = late.first()
    return first is not None and set_aside(dialects.of(alias), first, NOBODY, error)
