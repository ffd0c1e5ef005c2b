"""Jobs that were lost with their process: they run alone, to find the one to blame."""

import random
import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.jobs import losses, outcomes
from dbqueue.worker.loop.completer import Completer

# Seconds that the child takes no new work while such a job waits for the running ones
# to end; and how often, until it runs beside them: they may run for hours.
PATIENCE, MOST_TRIES = 5.0, 4
# Seconds until it is tried again; a child that is less busy may get it.
PUT_OFF = 10.0
# Seconds that it has the child for itself. If it runs for longer, others run beside it.
ALONE = 60.0
# Seconds from which on it counts as long: others wait no longer behind it, and it is
# their turn for as long when it has ended.
LONG = 0.5


class Alone:
    """The jobs of a child that have to run alone; one at a time."""

    def __init__(
        self, completer: Completer, begin: Callable[[ClaimedJob], None], *, drain: bool
    ) -> None:
        self._completer = completer
        self._begin = begin
        self._drain = drain
        self.busy = False  # whether there is one, which waits or runs
        self._waiting: deque[ClaimedJob] = deque()
        self._running: UUID | None = None
        self._began_alone = False  # the running one; or else it was tried enough
        self._since = 0.0  # monotonic: when it began, or the first began to wait
        self._next_at = 0.0  # monotonic: until when it is the others' turn

    def accept(self, job: ClaimedJob) -> None:
        """Take a claimed job; it begins when the child does nothing else."""
        now = time.monotonic()
        self._completer.accept(job, None)
        self.busy = True
        if not self._waiting and self._running is None:
            self._since = now
        self._waiting.append(job)
        patient = not (self._drain or self._was_tried_enough())
        if patient and now < self._next_at:
            self._put_off(self._next_at - now)

    def is_exclusive(self) -> bool:
        """Tell whether the child is to claim nothing."""
        if self._waiting:
            return True
        return self._began_alone and time.monotonic() < self._since + ALONE

    def take_back(self) -> list[ClaimedJob]:
        """Return the jobs that have not begun; none of them will."""
        jobs = list(self._waiting)
        self._waiting.clear()
        return jobs

    def step(self, *, leaving: bool) -> None:
        """Begin the next, or put it off, if it is time."""
        now, running = time.monotonic(), self._completer.running()
        if self._running is not None and self._running not in running:
            self._note_end(now)
        self.busy = bool(self._waiting) or self._running is not None
        if not self._waiting:
            return
        waited = now - self._since
        if leaving:
            self._put_off(0.0)
        elif self._running is not None:
            if waited > LONG:  # another child may take them
                self._put_off(0.0 if waited < ALONE else PUT_OFF)
        elif not running or self._was_tried_enough():
            job = self._waiting.popleft()
            self._running, self._since = job.id, now
            self._began_alone = not running
            self._begin(job)
        elif waited > PATIENCE and not self._drain:
            self._next_at = now + PUT_OFF
            self._put_off(PUT_OFF)

    def _note_end(self, now: float) -> None:
        took, self._running, self._since = now - self._since, None, now
        alone, self._began_alone = self._began_alone, False
        if alone and took > LONG:
            self._next_at = now + min(took, ALONE)

    def _was_tried_enough(self) -> bool:
        return losses.claims_since(self._waiting[0]) > MOST_TRIES

    def _put_off(self, seconds: float) -> None:
        for job in self.take_back():
            delay = seconds * random.uniform(1.0, 1.2)
            self._completer.done(job, outcomes.untouched(job, delay=delay))
