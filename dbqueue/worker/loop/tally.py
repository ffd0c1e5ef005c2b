"""What a child has done, counted for the statistics, and written every few seconds."""

import logging
import time
from typing import Any

from dbqueue.dialects import Dialect, hooks
from dbqueue.jobs import statistics

logger = logging.getLogger(__name__)

# Seconds between two writes. What a killed child has not written is not counted.
INTERVAL = 5.0
MOST_NOTES = 2_000  # that wait to be counted


class Tally:
    """Notes of attempts that ended are counted when they are many or it is time."""

    def __init__(self, dialect: Dialect) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.due_at = time.monotonic() + INTERVAL
        self._dialect = dialect
        self._counts = statistics.Counts()

    def write_if_due(self, *, at_once: bool = False) -> None:
        """Count what was noted, and write it if the time has come."""
        notes, self.notes = self.notes, []
        self._counts.add(notes)
        now = time.monotonic()
        if now >= self.due_at or at_once:
            self.due_at = now + INTERVAL
            self._write()
            for hook in hooks.now_and_then:
                hook(self._dialect.alias)

    def _write(self) -> None:
        try:
            statistics.write(self._dialect.alias, self._counts)
        except Exception as error:
            if not self._dialect.refuses(error):
                raise
            logger.warning("Statistics were dropped: %s", error)
            self._counts.clear()
