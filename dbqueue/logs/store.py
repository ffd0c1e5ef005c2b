"""Lines of jobs into the database, out of it, and out of it for good."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef

from dbqueue import dialects
from dbqueue.backend import backend_of
from dbqueue.dialects.rows import Outcome
from dbqueue.logs import capture, lines
from dbqueue.logs.capture import Key
from dbqueue.logs.lines import Lines, LogLine
from dbqueue.logs.models import JobLog
from dbqueue.logs.statements import FORGET, SAVE
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.framework import AnyResult

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 10  # of a job, whose lines are kept: the latest
BATCH = 1000

# How far the looks of this process have come, by alias: the last job.
_looked: dict[str, UUID] = {}


def with_end(alias: str, outcomes: Sequence[Outcome]) -> None:
    """Write what the attempts have logged, in the commit that ends them."""
    if not capture.kept:
        return
    for outcome in outcomes:
        key = outcome.id, outcome.attempt
        if (found := capture.kept.get(key)) is not None:
            _save(alias, key, found)


def while_running(alias: str) -> None:
    """Write what the attempts under way have logged since the last time."""
    for key, found in capture.new():
        try:
            _save(alias, key, found)
        except Exception as error:
            if not dialects.of(alias).refuses(error):
                found.is_new = True
                raise
            logger.warning("Log lines were dropped id=%s: %s", key[0], error)


def of(alias: str, id: UUID) -> list[LogLine]:
    """Return what the latest attempts of a job have logged, in order."""
    rows = JobLog.objects.using(alias).filter(job_id=id).order_by("attempt")
    return [
        line
        for attempt, text, dropped in rows.values_list("attempt", "lines", "dropped")
        for line in lines.read(attempt, text, dropped)
    ]


def of_result(result: AnyResult) -> list[LogLine]:
    """See JobResult.logs()."""
    return of(backend_of(result.backend).database, UUID(result.id))


def forget(alias: str, ids: Collection[UUID]) -> None:
    """Delete the lines of jobs whose records are deleted, in the same commit."""
    rows = JobLog.objects.using(alias)
    if rows.exists():  # in most projects there are none
        rows.filter(job_id__in=ids)._raw_delete(alias)


def forget_orphans(alias: str) -> int:
    """Delete lines of jobs that are gone; of many, each time some, the next.

    A late line, or a record that was deleted by hand, leaves them. Return how many.
    """
    rows = JobLog.objects.using(alias)
    if alias in _looked:
        rows = rows.filter(job_id__gt=_looked[alias])
    found = list(rows.order_by("job_id").values_list("job_id", flat=True)[:BATCH])
    _looked.pop(alias, None)
    if not found:
        return 0
    if len(found) == BATCH:
        _looked[alias] = found[-1]
    mine = OuterRef("job_id")
    gone = JobLog.objects.using(alias).filter(
        ~Exists(Job.objects.using(alias).filter(pk=mine)),
        ~Exists(FinishedJob.objects.using(alias).filter(pk=mine)),
        job_id__in=set(found),
    )
    return int(gone._raw_delete(alias)) if gone.exists() else 0


def _save(alias: str, key: Key, found: Lines) -> None:
    id, attempt = key
    text, dropped = found.dumped()
    values = {"job": id.hex, "attempt": attempt, "lines": text, "dropped": dropped}
    dialect = dialects.of(alias)
    dialect.do(SAVE, values)
    if attempt > MOST_ATTEMPTS:
        dialect.do(FORGET, {"job": id.hex, "attempt": attempt - MOST_ATTEMPTS})
