"""How far running jobs are, on its way into the database."""

import logging
import time
from uuid import UUID

from dbqueue.dialects import Dialect
from dbqueue.worker.loop.prefetch import MOST_RECORDED
from dbqueue.worker.run.holder import ProgressNotes

logger = logging.getLogger(__name__)

# Seconds between two progress notes of a job in the database.
PROGRESS_INTERVAL = 0.5


class Notes:
    """The latest progress of each job."""

    def __init__(self, dialect: Dialect, worker_id: UUID) -> None:
        self.due_at = 0.0  # monotonic: when it is stored next
        self._dialect = dialect
        self._worker_id = worker_id
        self.latest: dict[UUID, tuple[int, str]] = {}

    def add(self, worker_id: UUID, notes: ProgressNotes) -> None:
        """Report progress, as a Dialect would store it; from any thread."""
        for id, attempt, text in notes:
            self.latest[id] = (attempt, text)

    def flush_if_due(self, *, ending: bool) -> None:
        """Store the progress if jobs end now, or after PROGRESS_INTERVAL."""
        if self.latest and (ending or time.monotonic() >= self.due_at):
            self.flush()
            self.due_at = time.monotonic() + PROGRESS_INTERVAL

    def flush(self) -> None:
        """Store the latest progress of each job."""
        while self.latest:  # threads go on adding to it
            rows, size = [], 0
            while self.latest and size <= MOST_RECORDED:
                id, (attempt, text) = self.latest.popitem()
                rows.append((id, attempt, text))
                size += len(text)
            self._store(rows)

    def _store(self, rows: ProgressNotes) -> None:
        try:
            self._dialect.note_progress(self._worker_id, rows)
        except Exception as error:
            if not self._dialect.refuses(error):
                for id, attempt, text in rows:  # unless there is a later one
                    self.latest.setdefault(id, (attempt, text))
                raise
            if len(rows) == 1:
                logger.warning("Progress was dropped id=%s: %s", rows[0][0], error)
                return
            half = len(rows) // 2
            for part in (rows[:half], rows[half:]):
                self._store(part)
