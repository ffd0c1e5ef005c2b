"""How a cluster that has nothing to do waits for packages."""

import os
import select
import time

from dbqueue import dialects
from dbqueue.compat.django_q2.store import CHANNEL
from dbqueue.dialects.listener import ANYTHING, NullListener
from dbqueue.jobs.wakeup import WINDOW

# Seconds until a cluster looks again that would hear of anything new.
LISTENING = 1.0


class Ear:
    """Waits for news of a cluster's packages; in this process alone."""

    def __init__(self, alias: str) -> None:
        self.pid = os.getpid()
        self._listener: NullListener = dialects.of(alias).listener_for(CHANNEL)
        self._soon = False

    def wait(self, cluster: str, seconds: float, *, soon: bool = False) -> None:
        """Return when there is news of the cluster, and after a time in any case.

        That is `seconds`; where all news is heard, LISTENING if that is longer. With
        `soon`, and after news, it is the time in which news is not told again.
        """
        listener = self._listener
        listener.open()
        if listener.is_listening:
            seconds = max(seconds, LISTENING)
        if soon or self._soon:
            seconds = min(seconds, WINDOW)
        self._soon = False
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            descriptor = listener.fileno()
            ready = [] if descriptor is None else [descriptor]
            if not select.select(ready, [], [], left)[0]:
                return
            if listener.received() & {cluster, ANYTHING}:
                self._soon = True
                return

    def close(self) -> None:
        self._listener.close()
