"""What attempts did, counted by queue and task, for the rows of Statistic."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from operator import attrgetter
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

# Of more attempts of one task in one commit, those that took fewer seconds than BRIEF
# are told by about so many of them.
MOST_TIMED, BRIEF = 40, 0.05
_KEY = attrgetter("queue_name", "task")
_STATES = {"SUCCESSFUL": 0, "FAILED": 1, "CANCELLED": 2, "READY": 3}
_SECONDS, _RUNS = 4, 5
_WAITS = _RUNS + BUCKETS
_ZEROES = [0] * len(ADDED)


class Counts:
    """Sums by the minute, the queue and the task."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[int, str, str], list[Any]] = {}

    def add(self, ended: Iterable[tuple[Any, rows.Outcome]], *, timed: bool) -> None:
        """Count attempts that ended in this minute, each beside its job.

        `timed` tells whether the jobs are those of a claim, and their times count. Of
        many brief attempts of a task, some stand for the others.
        """
        minute = int(time.time()) // MINUTE * MINUTE
        groups: dict[tuple[str, str], list[tuple[Any, rows.Outcome]]] = {}
        for pair in ended:
            if pair[1].state != "READY" or pair[1].failed:
                groups.setdefault(_KEY(pair[0]), []).append(pair)
        for (queue, task), pairs in groups.items():
            sums = self._sums(minute, queue, task)
            for state, number in Counter([o.state for _, o in pairs]).items():
                sums[_STATES[state]] += number
            if timed:
                for weight, some in _sampled(pairs):
                    _add_times(sums, weight, some)

    def clear(self) -> None:
        self.by_key.clear()

    def _sums(self, minute: int, queue: str, task: str) -> list[Any]:
        key = (minute, queue, task)
        if key not in self.by_key and len(self.by_key) >= MOST_ROWS:
            key = (minute, OTHERS, OTHERS)
        return self.by_key.setdefault(key, list(_ZEROES))


def _sampled(
    pairs: list[tuple[Any, rows.Outcome]],
) -> Iterator[tuple[int, list[tuple[Any, rows.Outcome]]]]:
    """Give attempts whose times are to be added, and how often."""
    if len(pairs) <= MOST_TIMED:
        yield 1, pairs
        return
    brief = [pair for pair in pairs if (pair[1].duration or 0.0) < BRIEF]
    if len(brief) < len(pairs):
        yield 1, [pair for pair in pairs if (pair[1].duration or 0.0) >= BRIEF]
    weight = max(1, len(brief) // MOST_TIMED)
    even = len(brief) // weight * weight
    yield weight, brief[:even:weight]
    yield 1, brief[even:]


def _add_times(
    sums: list[Any], weight: int, pairs: list[tuple[Any, rows.Outcome]]
) -> None:
    for job, outcome in pairs:
        seconds = outcome.duration
        if seconds is not None:
            sums[_SECONDS] += seconds * weight
            sums[_RUNS + bisect_left(BOUNDS, seconds)] += weight
        began, due = job.last_attempted_at, job.run_after or job.enqueued_at
        # A later one is due some time after the one before: no row tells when.
        if job.attempt == 1 and began is not None and due is not None:
            wait = (began - due).total_seconds()
            sums[_WAITS + bisect_left(BOUNDS, wait)] += weight


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
    counts.add((pair for pair in ended if pair[1].failed), timed=False)
    write(alias, counts)


def forget_old(alias: str) -> int:
    """Delete the rows that are too old; return how many."""
    deleted = 0
    for span, seconds in KEPT.items():
        limit = timezone.now() - timedelta(seconds=seconds)
        old = Statistic.objects.using(alias).filter(span=span, at__lt=limit)
        deleted += int(old._raw_delete(alias))
    return deleted
