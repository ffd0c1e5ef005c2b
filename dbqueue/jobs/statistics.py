"""What attempts did, counted by queue and task, for the rows of Statistic."""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects import rows
from dbqueue.dialects.columns import HeldJob
from dbqueue.dialects.statistics import ADDED, BOUNDS, BUCKETS, HOUR, MINUTE
from dbqueue.models import Statistic

# Rows of one write; what is of further tasks or queues is counted together.
MOST_ROWS = 200
OTHERS = "…"
# Seconds that rows are kept: those of minutes, and those of hours.
KEPT = {MINUTE: 3 * 3600.0, HOUR: 15 * 86_400.0}

_STATES = {"SUCCESSFUL": 0, "FAILED": 1, "CANCELLED": 2, "READY": 3}
_SECONDS, _RUNS = 4, 5
_WAITS = _RUNS + BUCKETS
_ZEROES = [0] * len(ADDED)


class Counts:
    """Sums by the minute, the queue and the task."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[int, str, str], list[Any]] = {}

    def add(self, notes: Iterable[tuple[Any, ...]]) -> None:
        """Count attempts that ended in this minute; see rows.noted()."""
        minute = int(time.time()) // MINUTE * MINUTE
        for queue, task, state, seconds, began, due, attempt in notes:
            sums = self.by_key.get((minute, queue, task))
            if sums is None:
                sums = self._new(minute, queue, task)
            sums[_STATES[state]] += 1
            if seconds is not None:
                sums[_SECONDS] += seconds
                sums[_RUNS + bisect_left(BOUNDS, seconds)] += 1
            # A later one is due some time after the one before: no row tells when.
            if attempt == 1 and began is not None and due is not None:
                wait = (began - due).total_seconds()
                sums[_WAITS + bisect_left(BOUNDS, wait)] += 1

    def clear(self) -> None:
        self.by_key.clear()

    def _new(self, minute: int, queue: str, task: str) -> list[Any]:
        key = (minute, queue, task)
        if len(self.by_key) >= MOST_ROWS:
            key = (minute, OTHERS, OTHERS)
        return self.by_key.setdefault(key, list(_ZEROES))


def write(alias: str, counts: Counts) -> None:
    """Add the counts to the rows of their minutes and their hours, and forget them."""
    if not counts.by_key:
        return
    found: dict[tuple[int, int, str, str], list[Any]] = {}
    for (minute, queue, task), sums in counts.by_key.items():
        found[MINUTE, minute, queue, task] = sums
        hour = found.setdefault((HOUR, minute // HOUR * HOUR, queue, task), _ZEROES)
        found[HOUR, minute // HOUR * HOUR, queue, task] = [
            a + b for a, b in zip(hour, sums, strict=True)
        ]
    # Always in this order, or two workers could wait for each other.
    dialects.of(alias).add_statistics([(*key, *found[key]) for key in sorted(found)])
    counts.clear()


def write_rescued(alias: str, ended: Sequence[tuple[HeldJob, rows.Outcome]]) -> None:
    """Count attempts that were ended by others than their worker."""
    counts = Counts()
    counts.add(
        (job.queue_name, job.task, outcome.state, None, None, None, 0)
        for job, outcome in ended
        if outcome.failed
    )
    write(alias, counts)


def forget_old(alias: str) -> int:
    """Delete the rows that are too old; return how many."""
    deleted = 0
    for span, seconds in KEPT.items():
        limit = timezone.now() - timedelta(seconds=seconds)
        old = Statistic.objects.using(alias).filter(span=span, at__lt=limit)
        deleted += int(old._raw_delete(alias))
    return deleted
