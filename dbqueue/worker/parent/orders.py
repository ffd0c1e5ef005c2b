"""What an operator asks of a command through the rows of its workers."""

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence

from dbqueue import dialects
from dbqueue.maintenance import leases
from dbqueue.models import Worker
from dbqueue.models.worker import WorkerOrder
from dbqueue.worker.process import memory
from dbqueue.worker.shared import ChildState, Phase

logger = logging.getLogger(__name__)

MEMORY_INTERVAL = 30.0  # seconds between two looks at how much the children use


class Orders:
    """Obeys for all children of the command, whichever of their rows has the order."""

    def __init__(
        self, children: Sequence[ChildState], wake_all: Callable[[], None]
    ) -> None:
        self._children = children
        self._wake_all = wake_all
        self._looked_at = 0.0

    def obey(self, alias: str) -> None:
        """Look for orders, and show what the children are."""
        live = {c.worker_id: c for c in self._children if c.phase is Phase.LIVE}
        rows = Worker.objects.using(alias).filter(pk__in=live)
        shown = {}
        columns = "pk", "asked", "is_quiet", "is_listening"
        for id, asked, is_quiet, is_listening in rows.values_list(*columns):
            if asked:
                self._do(asked)
                rows.filter(pk=id, asked=asked).update(asked=None)
            shown[id] = bool(is_quiet), is_listening
        for id, (was_quiet, was_listening) in shown.items():
            now, listening = live[id].is_quiet, _listening(alias, live[id])
            if now != was_quiet:
                rows.filter(pk=id).update(is_quiet=now)
                what = "takes no more jobs" if now else "takes jobs again"
                logger.info("Worker id=%s %s", id, what)
            if listening is not was_listening:
                rows.filter(pk=id).update(is_listening=listening)
        if time.monotonic() >= self._looked_at + MEMORY_INTERVAL and live:
            self._looked_at = time.monotonic()
            sizes = {id: memory.resident_of(child.pid) for id, child in live.items()}
            known = {id: size for id, size in sizes.items() if size is not None}
            leases.note_memory(alias, known)

    def _do(self, asked: str) -> None:
        if asked == WorkerOrder.STOP:
            logger.info("An operator asks this worker to stop")
            os.kill(os.getppid(), signal.SIGTERM)
            return
        quiet(self._children, asked == WorkerOrder.QUIET)
        self._wake_all()


def _listening(alias: str, child: ChildState) -> bool | None:
    """Return whether news reaches the child; None where none is sent."""
    return child.is_listened_for if dialects.of(alias).can_notify else None


def quiet(children: Sequence[ChildState], is_quiet: bool) -> None:
    """Let the children, and those that replace them, take no more jobs, or go on."""
    for child in children:
        child.is_quiet = is_quiet
