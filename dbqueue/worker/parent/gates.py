"""The keeper's part in opening gates: it hands on the news, and sweeps."""

import time

from dbqueue import conf
from dbqueue.dialects.gates import NEWS, SOON
from dbqueue.dialects.listener import ANYTHING, NullListener
from dbqueue.jobs import wakeup
from dbqueue.maintenance import gates
from dbqueue.maintenance.duties import Duty
from dbqueue.worker.parent.notices import Notices

# Seconds between two sweeps while a job waits for its gate, and news arrive; and while
# none seems to wait.
INTERVAL, RARELY = 1.0, 30.0
SHARE = 0.05  # of the keeper's time that sweeps may take which news ask for


class GateKeeper:
    """Sweeps each second while a job waits for its gate.

    And sooner when something was written that may be for it.
    """

    def __init__(self, notices: Notices, listener: NullListener) -> None:
        self._notices = notices
        self._listener = listener
        self._next_at = 0.0  # monotonic: the earliest moment of the next sweep
        self.duty = Duty(RARELY, self._sweep)

    def expect(self) -> None:
        """Sweep at the next interval: a job waits for its gate."""
        seconds = INTERVAL
        if not self._listener.is_listening:
            seconds = min(seconds, conf.current().poll_interval)
        self.duty.hurry(self.duty.began_at + seconds)

    def hear(self, news: set[str]) -> set[str]:
        """Hand on the news of gates, each to one child; return the rest."""
        names = {name for name in news if name.startswith(NEWS)}
        if names:
            self._notices.hand_on(names - {NEWS})
        if NEWS in names or ANYTHING in news:
            self.duty.hurry(self._next_at)
        return news - names

    def _sweep(self, alias: str) -> float | None:
        began = time.monotonic()
        queues, again = gates.sweep(alias)
        self._notices.wake(queues)
        for queue in queues:
            wakeup.announce(alias, queue)  # other hosts' workers, too
        self._notices.hand_on(NEWS + key for key in again)
        now = time.monotonic()
        self._next_at = now + max(SOON, (now - began) / SHARE)
        # There may be more to let in.
        return max(SOON, now - began) if queues else None
