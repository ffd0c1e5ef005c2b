"""Finished jobs deleted by age."""

from collections.abc import Collection
from uuid import UUID

from dbqueue import dialects
from dbqueue.models import FinishedJob

BATCH = 1000


def prune(
    alias: str, *, states: Collection[str], older_than: float, limit: int = BATCH
) -> int:
    """Delete up to `limit` jobs that finished over `older_than` seconds ago.

    Return how many were deleted.
    """
    deleted, dialect, rows = 0, dialects.of(alias), FinishedJob.objects.using(alias)
    for state in states:
        if deleted < limit:
            # delete() would begin a transaction, and SQLite has none within another.
            with dialect.one_commit():
                # A list, or PostgreSQL may select again for each row that it deletes,
                # pass over those already deleted, and so exceed the limit.
                batch = _oldest(alias, state, older_than, limit - deleted)
                for first in range(0, len(batch), dialect.max_values):
                    part = batch[first : first + dialect.max_values]
                    rows.filter(pk__in=part)._raw_delete(alias)
                deleted += len(batch)
    return deleted


def _oldest(alias: str, state: str, older_than: float, limit: int) -> list[UUID]:
    # Each keeper takes other rows: they would wait for each other, or deadlock.
    expired = FinishedJob.objects.using(alias).expired(state, older_than)
    rows = expired.select_for_update(skip_locked=True)
    return list(rows.values_list("pk", flat=True)[:limit])
