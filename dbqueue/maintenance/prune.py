"""Finished jobs deleted by age."""

from collections.abc import Collection
from uuid import UUID

from dbqueue import dialects
from dbqueue.models import FinishedJob
from dbqueue.models.job import FinishedJobQuerySet

BATCH = 1000


def prune(
    alias: str, *, states: Collection[str], older_than: float, limit: int = BATCH
) -> int:
    """Delete up to `limit` jobs that finished over `older_than` seconds ago.

    Return how many were deleted.
    """
    deleted = 0
    for state in states:
        if deleted < limit:
            expired = FinishedJob.objects.using(alias).expired(state, older_than)
            # delete() would begin a transaction, and SQLite has none within another.
            with dialects.of(alias).one_commit():
                deleted += _delete(alias, _oldest(expired, limit - deleted))
    return deleted


def prune_all(
    alias: str, *, state: str, older_than: float, queues: Collection[str], batch: int
) -> int:
    """Delete all jobs of the state and age, up to `batch` in a transaction.

    `queues` are the names of those whose jobs go; none means all. Return how many were
    deleted.
    """
    expired = FinishedJob.objects.using(alias).expired(state, older_than)
    if queues:
        expired = expired.filter(queue_name__in=queues)
    total, rest = 0, expired
    while True:
        with dialects.of(alias).one_commit():
            found = _oldest(rest, batch)
            if queues and found:
                # Jobs of other queues stay: the next look passes over none of them.
                last = expired.values_list("finished_at", flat=True).get(pk=found[-1])
                rest = expired.filter(finished_at__gte=last)
            total += _delete(alias, found)
        if len(found) < batch:
            return total


def _oldest(rows: FinishedJobQuerySet, limit: int) -> list[UUID]:
    # Each keeper takes other rows: they would wait for each other, or deadlock.
    free = rows.select_for_update(skip_locked=True)
    return list(free.values_list("pk", flat=True)[:limit])


def _delete(alias: str, ids: list[UUID]) -> int:
    # By a list, or PostgreSQL may select again for each row that it deletes, pass over
    # those already deleted, and so exceed the limit.
    size = dialects.of(alias).max_values
    for first in range(0, len(ids), size):
        part = ids[first : first + size]
        FinishedJob.objects.using(alias).filter(pk__in=part)._raw_delete(alias)
    return len(ids)
