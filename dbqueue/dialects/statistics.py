"""How many jobs ended, and how long they waited and ran, by the minute and the hour.

Times are counted in buckets, so that rows of many workers can be added, and a
percentile of any period be read from their sum.
"""

from collections.abc import Sequence

# Seconds: a time belongs into the first bucket whose bound it does not exceed, and one
# above all of them into the last bucket.
BOUNDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 1000.0, 3600.0),
)
BUCKETS = len(BOUNDS) + 1

MINUTE, HOUR = 60, 3600  # seconds that a row is about
KEY = ("span", "at", "queue_name", "task")
ENDS = ("succeeded", "failed", "cancelled", "retried")
RUNS = tuple(f"run_{n}" for n in range(BUCKETS))
WAITS = tuple(f"wait_{n}" for n in range(BUCKETS))
ADDED = (*ENDS, "seconds", *RUNS, *WAITS)
COLUMNS = (*KEY, *ADDED)

ROWS = 300  # in one statement: SQLite allows 32,766 values
_SUMS = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in ADDED)
_ROW = f"({', '.join(['%s'] * len(COLUMNS))})"


def add(rows: int) -> str:
    """Return the statement that adds so many rows to those of the same key."""
    return f"""
INSERT INTO dbqueue_statistic AS t ({", ".join(COLUMNS)})
VALUES {", ".join([_ROW] * rows)}
ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {_SUMS}
"""


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the seconds that this share of the times does not exceed, about.

    Within a bucket times are taken to be spread evenly. None without times.
    """
    wanted = sum(counts) * share
    if not wanted:
        return None
    passed, low = 0, 0.0
    for count, high in zip(counts, (*BOUNDS, BOUNDS[-1]), strict=True):
        if passed + count >= wanted:
            return low + (high - low) * (wanted - passed) / count
        passed, low = passed + count, high
    return low
