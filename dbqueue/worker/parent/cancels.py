"""Cancelled jobs: children that run them are told, and replaced if they are deaf."""

import json
import logging
import time
from typing import Any
from uuid import UUID

from dbqueue.dialects.listener import ANYTHING
from dbqueue.jobs.wakeup import CANCEL
from dbqueue.maintenance.duties import Duty
from dbqueue.models import Job
from dbqueue.worker.parent.processes import Links
from dbqueue.worker.process.pipes import END, WakePipe
from dbqueue.worker.shared import ChildState, Phase

logger = logging.getLogger(__name__)

# Seconds between looks where no notification tells of cancelled jobs.
LOOK_INTERVAL = 0.5
# Seconds until a child is replaced that does not hear of them, as a job holds the GIL;
# and one that has heard, and should have given up the job long ago.
DEAF, SLOW = 1.25, 2.5
_CHECK = 0.25  # seconds between looks whether they have stopped


class Cancels:
    """What the children of a worker are to stop."""

    def __init__(self, links: Links, every: float) -> None:
        self._pipes = list(zip(links.children, links.notices, strict=True))
        self._told: dict[tuple[UUID, UUID], float] = {}  # (worker, job): since when
        self._was_told = False  # by a notification
        self._looked_at = 0.0  # monotonic
        self.duty = Duty(every, self._look)

    def hear(self, news: set[str]) -> set[str]:
        """Look soon if there is news of cancelled jobs; return the other news."""
        if ANYTHING in news:
            self.duty.hurry(self._looked_at + LOOK_INTERVAL)
        told = {name for name in news if name.startswith(CANCEL)}
        if told:
            ours = {f"{CANCEL}{child.worker_id.hex}" for child in self._live()}
            if told & ours:
                self._was_told = True
                self.duty.hurry()
        return news - told

    def _look(self, alias: str) -> float | None:
        """Tell the children of their cancelled jobs; return when to look again."""
        self._looked_at = time.monotonic()
        busy = self._live()
        if not (self._was_told or self._told):
            busy = {c: pipe for c, pipe in busy.items() if c.running()}
        self._was_told = False
        if busy:
            self._tell(alias, {child.worker_id: child for child in busy})
        return _CHECK if self._told else None

    def _tell(self, alias: str, children: dict[UUID, ChildState]) -> None:
        running = Job.objects.using(alias).running()
        cancelled = running.filter(worker_id__in=children, cancelled_at__isnull=False)
        columns = "worker_id", "pk", "attempt", "cancelled_by", "cancel_reason"
        found: list[Any] = list(cancelled.values_list(*columns))
        held = {(worker_id, id) for worker_id, id, *_ in found}
        self._told = {key: at for key, at in self._told.items() if key in held}
        pipes = self._live()
        for worker_id, id, attempt, by, why in found:
            child = children[worker_id]
            since = self._told.setdefault((worker_id, id), self._looked_at)
            pipes[child].wake(_note(id, attempt, by, why) + END)
            if id in child.running():
                self._give_up_if_deaf(child, id, since)

    def _give_up_if_deaf(self, child: ChildState, id: UUID, since: float) -> None:
        waited = time.monotonic() - since
        if waited > (SLOW if child.heard_at > since else DEAF):
            if not child.is_doomed:
                logger.info("Job id=%s is cancelled and does not stop", id)
            child.is_doomed = True

    def _live(self) -> dict[ChildState, WakePipe]:
        return {c: pipe for c, pipe in self._pipes if c.phase is Phase.LIVE and c.beat}


def _note(id: UUID, attempt: int, by: str | None, why: str | None) -> bytes:
    # Not longer than what a pipe takes as a whole: their lengths are bounded.
    said = json.dumps([by or "", why or ""], ensure_ascii=False)
    return f"{CANCEL}{id.hex}:{attempt}:{said}".encode()
