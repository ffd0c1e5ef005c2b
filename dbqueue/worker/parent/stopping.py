"""Whether the worker is to stop, how soon, and what is killed that does not."""

import logging
import signal
import time
from collections.abc import Iterable

from dbqueue import conf
from dbqueue.worker.parent.processes import Place, send
from dbqueue.worker.parent.reload import RELOAD
from dbqueue.worker.shared import Phase

logger = logging.getLogger(__name__)

# Seconds after the grace period, or a second request, until what is left is killed.
KILL_AFTER = 5.0
# Share of the lease without a heartbeat after which a child is killed that has not left
# by itself: it may wait for an answer, and others take its jobs when the lease is over.
DISOWNED = 0.9
# Seconds that a child has after a stop by a signal until its loop must turn.
THAW = 10.0


class Stopping:
    """The requests so far: the first is for a graceful stop, the second means now."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._announced = 0
        self.requests = 0
        self.restarts = False
        self.kill_at = float("inf")  # monotonic

    def request(self) -> bool:
        """Note a request; return whether the children are to be told."""
        if self.restarts:  # they stop already, to begin again: now they are not to
            self.restarts = False
            return False
        self.requests += 1
        patience = self._grace if self.requests == 1 else 0.0
        self.kill_at = time.monotonic() + patience + KILL_AFTER
        return True

    def request_once(self, *, restart: bool) -> bool:
        """As request(), but never as the second, which means now."""
        told = not self.requests and self.request()
        self.restarts |= told and restart
        return told

    def log(self) -> None:
        """Say what was requested. A signal handler might interrupt another line."""
        if self.requests > self._announced:
            self._announced = self.requests
            patience = max(0.0, self.kill_at - KILL_AFTER - time.monotonic())
            logger.info("Stopping; running jobs have %.0f s left", patience)

    def concluded(self, *, failed: bool) -> int:
        """Say that the worker has ended, and return the exit code of the command."""
        if self.restarts:
            logger.info("Stopped; starting again")
            return RELOAD
        if failed:
            logger.warning("Stopped: a child was killed, or could not start")
            return 1
        logger.info("Stopped" if self.requests else "Stopped; no job is left")
        return 0


def kill_overdue(places: Iterable[Place], stopping: Stopping) -> bool:
    """Kill the children whose time is over; return whether any did not stop in time."""
    now, lease = time.monotonic(), conf.current().lease
    failed = False
    for place in places:
        child = place.child
        assert child is not None
        if child.kill_at and now > child.kill_at:
            message = "Child %s hangs in a job past its timeout, or in an import"
            logger.warning(message, place.pid)
            place.verdict = Phase.OVERDUE
        elif child.turn_by and now > max(child.turn_by, place.thawed_at + THAW):
            if child.phase is Phase.FROZEN:
                continue
            message = "Child %s stands still: one of its jobs holds the GIL; killed"
            logger.warning(message, place.pid)
            place.verdict = Phase.SILENT
        elif place.is_disowned(now - DISOWNED * lease):
            message = "Child %s waits for the database while its lease ends; killed"
            logger.error(message, place.pid)
        elif child.is_doomed or now > stopping.kill_at:
            failed |= not child.is_doomed
            place.verdict = Phase.CUT_SHORT
        else:
            continue
        send(place.pid, signal.SIGKILL)
    return failed
