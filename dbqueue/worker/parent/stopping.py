"""Whether the worker is to stop, how soon, and whether it begins again after that."""

import logging
import time

logger = logging.getLogger(__name__)

# Seconds after the grace period, or a second request, until what is left is killed.
KILL_AFTER = 5.0


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
