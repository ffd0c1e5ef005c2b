"""When a child looks for work, and how long it waits when the database fails."""

import logging
import math
import random
import time
from collections.abc import Callable

from django.db import Error

from dbqueue import conf
from dbqueue.dialects import Dialect
from dbqueue.dialects.gates import NEWS, SOON
from dbqueue.jobs import wakeup
from dbqueue.worker.process.connections import drop
from dbqueue.worker.shared import ChildState

logger = logging.getLogger(__name__)

# How often the keeper, while it receives notifications, looks for all children between
# a child's looks.
LOOKS_OF_KEEPER = 5
MAX_PAUSE = 5.0  # seconds
OWED = 0.01  # seconds until a look at a queue that another worker held
# Seconds between two looks for jobs that are ours and that we do not know of. A claim
# whose answer was lost may commit as long as the server works on it: also when the next
# claim has succeeded. They may cost this share of a child's time, where they take long.
RECONCILE_INTERVAL, RECONCILE_SHARE = 10.0, 0.01


class Polling:
    """The moments of a child's looks, by the monotonic clock."""

    def __init__(self, dialect: Dialect, child: ChildState) -> None:
        self._dialect = dialect
        self._child = child
        self._look_again_at = 0.0
        self._pause = 0.0
        self._found_nothing = False
        self.look_at = 0.0
        self.paused_until = 0.0
        self._reconcile_at = time.monotonic() + RECONCILE_INTERVAL

    def notified(self, news: set[str]) -> set[str]:
        """Look at once, and again: a wake-up that fell into the window was not sent.

        Return the queues among the news; the rest are gates, which are owed.
        """
        self.look_at = 0.0
        self._look_again_at = time.monotonic() + wakeup.WINDOW
        gates = {name for name in news if name.startswith(NEWS)}
        if gates:
            self._dialect.hear({name.removeprefix(NEWS) for name in gates})
        return news - gates

    @property
    def next_look(self) -> float:
        """The moment of the next look, or before it of a gate that is owed."""
        return min(self.look_at, self.next_gate) if self._dialect.owed else self.look_at

    @property
    def next_gate(self) -> float:
        """The moment of the next gate that is owed, whether there is room or not."""
        return self._dialect.next_gate() if self._dialect.owed else math.inf

    def looked(self, began: float, *, more: bool, owed: bool = False) -> bool:
        """Choose the next look; return whether the queue seems to be empty for now.

        `began` is when the last one did: what was committed since, it may have missed.
        With `owed`, it passed over a queue from which another worker claimed.
        """
        if owed:
            self.look_at = time.monotonic() + OWED * random.uniform(0.5, 1.0)
        elif more:
            self.look_at = began
        elif began < self._look_again_at:
            self.look_at = self._look_again_at
        else:
            self.look_at = time.monotonic() + self.interval()
            return True
        return False

    def found_last(self, ready: set[str]) -> bool:
        """Tell whether no job is left, or look once more.

        `ready` are the queues in which jobs have become ready since the last look.
        Others may have let them in, or have locked what lets them in.
        """
        again = (
            ready or not self._found_nothing or self.next_gate < time.monotonic() + SOON
        )
        self._found_nothing = not ready
        if again:
            self.look_at = 0.0
        return not again

    @property
    def paused(self) -> bool:
        return time.monotonic() < self.paused_until

    @property
    def in_trouble(self) -> bool:
        """Whether the last call of the database failed."""
        return self._pause > 0.0

    def reconcile_if_due(self, reconcile: Callable[[], None]) -> None:
        """Call it at its interval, and before the first claim after trouble."""
        began = time.monotonic()
        if self.in_trouble or began >= self._reconcile_at:
            reconcile()
            now = time.monotonic()
            pause = max(RECONCILE_INTERVAL, (now - began) / RECONCILE_SHARE)
            self._reconcile_at = now + pause * random.uniform(0.8, 1.2)

    def endure(self, error: Error, size: int) -> None:
        """Come to terms with an error; a cancelled batch has shrunk to `size` jobs."""
        what = str(error).strip()
        if self._dialect.is_cancelled(error) and size > 1:
            message = "A statement took too long; the limit of a batch is now %d: %s"
            logger.warning(message, size, what)
            return
        pause = self.back_off()
        logger.warning("Database trouble, trying again in %.1f s: %s", pause, what)
        drop(self._dialect.alias)

    def back_off(self) -> float:
        """Leave the database alone, longer each time; return the seconds."""
        self._pause = min(MAX_PAUSE, self._pause * 2 or 0.1)
        pause = self._pause * random.uniform(0.8, 1.2)
        self.paused_until = time.monotonic() + pause
        return pause

    def recovered(self) -> None:
        self._pause = 0.0

    def interval(self) -> float:
        """Return the seconds between two looks while there is no news."""
        if self._child.is_listened_for:
            seconds = conf.current().poll_interval * LOOKS_OF_KEEPER
        else:
            seconds = self._dialect.poll_interval()
        return seconds * random.uniform(0.9, 1.1)
