"""Parked jobs of tasks that are not paused any more, whatever their resume missed."""

from dbqueue.jobs import wakeup
from dbqueue.queues import parked

INTERVAL = 5.0  # seconds


def sweep(alias: str) -> None:
    """Have them wait as any others: a claim may have parked some meanwhile."""
    for queue in parked.sweep(alias):
        wakeup.announce(alias, queue)
