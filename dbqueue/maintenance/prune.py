"""Finished jobs deleted by age."""

from collections.abc import Collection, Iterator
from datetime import datetime
from uuid import UUID

from dbqueue import dialects
from dbqueue.dialects import hooks
from dbqueue.models import FinishedJob, Throttle
from dbqueue.models.job import FinishedJobQuerySet

BATCH = 1000


# Up to when all of a state were deleted that are to be: where the next look begins.
Marks = dict[str, datetime]


def prune(
    alias: str,
    *,
    states: Collection[str],
    older_than: float,
    limit: int = BATCH,
    marks: Marks | None = None,
) -> int:
    """Delete up to `limit` jobs that finished over `older_than` seconds ago.

    With `marks`, it passes over nothing a second time that stays for longer. Return how
    many were deleted.
    """
    deleted, marks = 0, {} if marks is None else marks
    for state in states:
        if deleted < limit:
            expired = FinishedJob.objects.using(alias).expired(state, older_than)
            if state in marks:
                expired = expired.filter(finished_at__gte=marks[state])
            # delete() would begin a transaction, and SQLite has none within another.
            with dialects.of(alias).one_commit():
                found = _oldest(expired, limit - deleted)
                deleted += _delete(alias, list(found))
            if found:
                marks[state] = [*found.values()][-1]
    return deleted


def prune_outlived(alias: str, *, limit: int = BATCH) -> int:
    """Delete up to `limit` jobs that have stayed for the time of their own.

    Return how many were deleted.
    """
    with dialects.of(alias).one_commit():
        found = _oldest(FinishedJob.objects.using(alias).outlived(), limit)
        return _delete(alias, list(found))


def prune_throttles(alias: str, *, limit: int = BATCH) -> int:
    """Delete up to `limit` throttles whose period is over; return how many."""
    expired = Throttle.objects.using(alias).expired().order_by()
    if not expired.exists():
        return 0  # on SQLite, whoever looks must not become the writer
    with dialects.of(alias).one_commit():
        free = expired.select_for_update(skip_locked=True)
        keys = list(free.values_list("pk", flat=True)[:limit])
        return Throttle.objects.using(alias).filter(pk__in=keys)._raw_delete(alias)


def prune_all(
    alias: str,
    *,
    state: str,
    older_than: float | None,
    queues: Collection[str],
    batch: int,
) -> int:
    """Delete all jobs of the state and age, up to `batch` in a transaction.

    With no age, those alone that have stayed for the time of their own. `queues` are
    the names of those whose jobs go; none means all. Return how many were deleted.
    """
    return sum(
        _prune_all(alias, rows, batch, by_end=by_end)
        for rows, by_end in to_prune(alias, state, older_than, queues)
    )


def to_prune(
    alias: str, state: str, older_than: float | None, queues: Collection[str]
) -> Iterator[tuple[FinishedJobQuerySet, bool]]:
    """Yield the rows that prune_all() deletes, and whether their ends order them."""
    rows = FinishedJob.objects.using(alias)
    if queues:
        rows = rows.filter(queue_name__in=queues)
    yield rows.outlived().filter(state=state), False
    if older_than is not None:
        yield rows.expired(state, older_than), True


def _prune_all(
    alias: str, rows: FinishedJobQuerySet, batch: int, *, by_end: bool
) -> int:
    total, rest = 0, rows
    while True:
        with dialects.of(alias).one_commit():
            found = _oldest(rest, batch)
            total += _delete(alias, list(found))
        if len(found) < batch:
            return total
        if by_end:  # the next look passes over none of those that stay
            rest = rows.filter(finished_at__gte=[*found.values()][-1])


def _oldest(rows: FinishedJobQuerySet, limit: int) -> dict[UUID, datetime]:
    """Return the ids of the first rows, with the moments of their ends."""
    # Each keeper takes other rows: they would wait for each other, or deadlock.
    free = rows.select_for_update(skip_locked=True)
    return dict(free.values_list("pk", "finished_at")[:limit])


def _delete(alias: str, ids: list[UUID]) -> int:
    # By a list, or PostgreSQL may select again for each row that it deletes, pass over
    # those already deleted, and so exceed the limit.
    size = dialects.of(alias).max_values
    for first in range(0, len(ids), size):
        part = ids[first : first + size]
        FinishedJob.objects.using(alias).filter(pk__in=part)._raw_delete(alias)
        for hook in hooks.after_delete:
            hook(alias, part)
    return len(ids)
