"""The large results that are not in the database yet, and threads that wait for it."""

import asyncio
from threading import Condition

from dbqueue.worker.loop.prefetch import BYTES


class Backlog:
    """How many bytes of large results wait to be recorded.

    A thread that has made one waits while they are too many: it would make another one
    sooner than they are recorded.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._shrunk = Condition()

    def add(self, size: int) -> None:
        with self._shrunk:
            self.bytes += size

    def remove(self, size: int) -> None:
        with self._shrunk:
            self.bytes -= size
            self._shrunk.notify_all()

    def wait(self) -> None:
        """Wait in a job's thread. An event loop has more to do, and does not wait."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with self._shrunk:
                self._shrunk.wait_for(lambda: self.bytes <= BYTES)
