"""How many jobs a child should claim: enough to stay busy, never a hoard."""

from collections.abc import Sequence

from dbqueue.worker.portion import WHOLE

# Seconds of work that may wait behind the threads: about one round trip under load.
AHEAD = 0.05
# The share of the newest duration in the moving average.
_WEIGHT = 0.1


class Appetite:
    """Learns from how long jobs took."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._average: float | None = None  # seconds
        self._only_async = False

    def learn(self, durations: Sequence[float]) -> None:
        for seconds in durations:
            if self._average is None:
                self._average = seconds
            self._average += _WEIGHT * (seconds - self._average)

    def saw(self, *, only_async: bool) -> None:
        """Note what the last claim brought."""
        self._only_async = only_async

    def spoil(self, seconds: float) -> None:
        """Note that a job has already run so long, so that nothing waits behind it."""
        self._average = max(self._average or 0.0, seconds)

    def wants(self, free_threads: int, free_coroutines: int) -> int:
        """Return how many jobs to claim.

        What comes cannot be chosen by kind: unless the last claim brought async jobs
        alone, there must be a thread for each.
        """
        if self._only_async:
            return max(0, min(WHOLE, free_coroutines)) if free_threads > 0 else 0
        if free_coroutines <= 0:
            return 0
        return max(0, min(WHOLE, free_threads + self._ahead()))

    def _ahead(self) -> int:
        if not self._average:
            return 0
        return min(WHOLE, int(self._threads * AHEAD / self._average))
