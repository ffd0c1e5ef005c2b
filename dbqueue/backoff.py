"""How long a failed job waits before it runs again."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

# seconds | seconds for the 1st, 2nd, … failure | f(exception, task_result) -> seconds
Backoff = float | Sequence[float] | Callable[[BaseException, Any], float | None]


# Seconds: ten years. A longer delay is a mistake, and past what Python's dates hold.
LONGEST = 10 * 365 * 86_400.0


def exponential(
    failures: int,
    *,
    base: float = 5.0,
    factor: float = 3.0,
    cap: float = 3600.0,
    jitter: float = 0.25,
) -> float:
    """Return the seconds to wait after the given number of failures, counted from 1.

    base * factor ** (failures - 1), at most `cap` seconds, then spread by `jitter`
    (a share of the delay, either way) so that jobs that failed together do not come
    back together.
    """
    # 2.0 ** 1024 overflows; no cap is ever that far away.
    delay = min(cap, base * factor ** min(failures - 1, 100))
    return delay * random.uniform(1 - jitter, 1 + jitter)


def delay(
    backoff: Backoff | None, *, failures: int, exception: BaseException, result: Any
) -> float | None:
    """Return the seconds until the next attempt, or None to give up.

    `backoff` None means `exponential`; a sequence's last value repeats.
    """
    if backoff is None:
        return exponential(failures)
    if callable(backoff):
        answer = backoff(exception, result)
        return None if answer is None else bounded(answer)
    if isinstance(backoff, Sequence):
        return bounded(backoff[min(failures, len(backoff)) - 1])
    return bounded(backoff)


def bounded(seconds: float) -> float:
    """Return the seconds, at least 0 and at most LONGEST. Raises ValueError for NaN."""
    if math.isnan(seconds):
        raise ValueError("A delay must be a number of seconds, not NaN.")
    return min(max(0.0, float(seconds)), LONGEST)
