"""What a child has done, counted for the statistics, and written every few seconds."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from dbqueue.dialects import Dialect, hooks
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import statistics

logger = logging.getLogger(__name__)

# Seconds between two writes. What a killed child has not written is not counted.
INTERVAL = 5.0


class Tally:
    """Counts attempts that ended, and writes that when it is time."""

    def __init__(self, dialect: Dialect) -> None:
        self.due_at = time.monotonic() + INTERVAL
        self._dialect = dialect
        self._counts = statistics.Counts()

    def add(
        self, ended: Sequence[Outcome], held: Mapping[UUID, tuple[ClaimedJob, Any]]
    ) -> None:
        """Count attempts that ended; `held` are the jobs by id."""
        self._counts.add([(held[o.id][0], o) for o in ended], timed=True)

    def write_if_due(self, *, at_once: bool = False) -> None:
        """Write what was counted, if the time has come."""
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
