"""The keeper's notices to the children: where there is work."""

from collections.abc import Collection, Sequence

from dbqueue.dialects.scan import Scan
from dbqueue.worker.process.pipes import END, WakePipe
from dbqueue.worker.shared import ChildState, Phase


class Notices:
    """The wake pipes of the children, in the same order as these."""

    def __init__(
        self, children: Sequence[ChildState], pipes: Sequence[WakePipe], scan: Scan
    ) -> None:
        self._children = children
        self._pipes = pipes
        self._scan = scan

    def wake(self, queues: Collection[str]) -> None:
        """Wake the children if they serve one of the queues."""
        served = [queue for queue in queues if self._scan.rank(queue) is not None]
        if served:
            self.wake_all(served[0] if len(served) == 1 else "")

    def wake_all(self, queue: str = "") -> None:
        """Wake the children; the queue is the only one with news, "" is any."""
        note = queue.encode() + END
        for child, pipe in zip(self._children, self._pipes, strict=True):
            if child.phase is Phase.LIVE:
                pipe.wake(note)
