"""How many jobs a child claims and one statement carries: busy, but never a hoard."""

import time
from collections.abc import Iterable, Sequence
from itertools import accumulate

from dbqueue.dialects.rows import Outcome

LARGE = 8192  # characters of a result
# Seconds that a job of a lane ran, at most, for others to be awaited; and how long. It
# is less than a commit for each takes. Of many in flight, enough end together anyway.
BRIEF, MOMENT, FEW = 0.001, 0.0004, 100
MOST = 1000  # jobs in one statement
# Bytes of large arguments and results in one child, and of what one statement records.
BYTES = 8 * 1024 * 1024
MOST_RECORDED = BYTES // 2
# Seconds of work that may wait behind the threads: about one round trip under load.
AHEAD = 0.05
# The share of the newest duration in the moving average.
_WEIGHT = 0.1
# Seconds after which a smaller batch is doubled again.
GROW_AFTER = 10.0


def await_others(gates: set[str], running: Iterable[str | None]) -> None:
    """Wait a moment, if any that runs is of these gates, which are forgotten then.

    The others of a lane may end as soon as the first did, and share its commit.
    """
    if not gates.isdisjoint(running):
        time.sleep(MOMENT)
    gates.clear()


def fitting(outcomes: list[Outcome]) -> list[Outcome]:
    """Return the first of them: one, or no more bytes than one commit bears."""
    # A record has a traceback, and is about as long as a result that is not large.
    sizes = [len(o.result or "") + (LARGE if o.record else 0) for o in outcomes]
    if sum(sizes) <= MOST_RECORDED:
        return outcomes
    fit = sum(end <= MOST_RECORDED for end in accumulate(sizes))
    return outcomes[: max(1, fit)]


class Prefetch:
    """Learns from how long jobs took how many to claim."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._average: float | None = None  # seconds
        self._most = MOST  # jobs in flight, by their weight
        self.only_async = False  # whether the last claim brought async jobs alone

    def learn(self, durations: Sequence[float]) -> None:
        for seconds in durations:
            if self._average is None:
                self._average = seconds
            self._average += _WEIGHT * (seconds - self._average)

    def note_slow_job(self, seconds: float) -> None:
        """Note that a job has run for this long: nothing is to wait behind it."""
        self._average = max(self._average or 0.0, seconds)

    def weigh(self, jobs: int, weight: int) -> None:
        """Learn from a claim of so many jobs that weigh so many bytes together."""
        if weight:
            self._most = max(1, jobs * BYTES // weight)
        elif jobs and self._most < MOST:
            self._most = min(MOST, self._most * 2)

    def fits(self, weight: int) -> int:
        """Return how many jobs to claim beside those that have this weight."""
        if not weight:
            return self._most
        return max(0, self._most * (BYTES - weight) // BYTES)

    def room(self, free_threads: int, free_coroutines: int) -> int:
        """Return how many jobs to claim.

        What comes cannot be chosen by kind: unless the last claim brought async jobs
        alone, there must be a thread for each.
        """
        if self.only_async:
            return max(0, min(MOST, free_coroutines)) if free_threads > 0 else 0
        if free_coroutines <= 0:
            return 0
        return max(0, min(MOST, free_threads + self._ahead()))

    def _ahead(self) -> int:
        if not self._average:
            return 0
        return min(MOST, int(self._threads * AHEAD / self._average))


class BatchSize:
    """How many jobs one statement of a child records or claims.

    Halved when the server cancels a statement for its time, and grown back later. `now`
    is monotonic.
    """

    def __init__(self) -> None:
        self.size = MOST
        self._grow_at = 0.0

    def shrink(self, jobs: int, now: float) -> None:
        """Note that a statement for that many jobs was cancelled."""
        self.size = max(1, min(self.size, jobs) // 2)
        self._grow_at = now + GROW_AFTER

    def recover(self, now: float) -> None:
        """Note that a statement succeeded."""
        if self.size < MOST and now >= self._grow_at:
            self.size = min(MOST, self.size * 2)
            self._grow_at = now + GROW_AFTER
