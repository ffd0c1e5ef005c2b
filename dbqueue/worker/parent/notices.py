"""The keeper's notices to the children: where there is work."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from dbqueue.dialects.scan import Scan
from dbqueue.worker.process.pipes import END, WakePipe
from dbqueue.worker.shared import ChildState, Phase


@dataclass(slots=True)
class Notices:
    """The children, and their wake pipes in the same order."""

    children: Sequence[ChildState]
    pipes: Sequence[WakePipe]
    scan: Scan

    def wake(self, queues: Collection[str]) -> None:
        """Wake the children if they serve one of the queues."""
        served = [queue for queue in queues if self.scan.rank(queue) is not None]
        if served:
            self.wake_all(served[0] if len(served) == 1 else "")

    def hand_on(self, names: Iterable[str]) -> None:
        """Give each name to one child: to the same one, as long as it lives."""
        pairs = zip(self.children, self.pipes, strict=True)
        live = [pipe for child, pipe in pairs if child.phase is Phase.LIVE]
        for name in names:
            if live:
                note = name.encode()
                live[crc32(note) % len(live)].wake(note + END)

    def wake_all(self, queue: str = "") -> None:
        """Wake the children; the queue is the only one with news, "" is any."""
        note = queue.encode() + END
        for child, pipe in zip(self.children, self.pipes, strict=True):
            if child.phase is Phase.LIVE:
                pipe.wake(note)
