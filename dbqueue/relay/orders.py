"""What an operator asks of a relay through its row among the workers."""

import logging
from collections.abc import Callable
from uuid import UUID

from dbqueue.models import Worker
from dbqueue.models.worker import WorkerOrder

logger = logging.getLogger(__name__)


class Orders:
    """Obeys as a worker does: a quiet relay publishes nothing, and does the rest."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self.is_quiet = False

    def obey(self, alias: str, id: UUID) -> None:
        """Look for an order, and show whether the relay is quiet."""
        rows = Worker.objects.using(alias).filter(pk=id)
        for asked, was_quiet in rows.values_list("asked", "is_quiet"):
            if asked:
                self._do(asked)
                rows.filter(asked=asked).update(asked=None)
            if self.is_quiet != bool(was_quiet):
                rows.update(is_quiet=self.is_quiet)
                what = "publishes nothing more" if self.is_quiet else "publishes again"
                logger.info("Relay id=%s %s", id, what)

    def _do(self, asked: str) -> None:
        if asked == WorkerOrder.STOP:
            logger.info("An operator asks this relay to stop")
            self._stop()
        else:
            self.is_quiet = asked == WorkerOrder.QUIET
