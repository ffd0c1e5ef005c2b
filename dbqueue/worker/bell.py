"""A way to wake whoever waits in select(): from threads, signals and processes."""

import os
import select
from collections.abc import Iterable
from contextlib import suppress


class Bell:
    """A pipe that is rung by a byte. Rung twice, it wakes once."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        for end in (self.reader, self.writer):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self.reader

    def ring(self, note: bytes = b"!") -> None:
        # Full: it will wake anyway. Broken: nobody is there to be woken.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.writer, note)

    def silence(self) -> bytes:
        """Take out and return what was written; b"" if nothing was, or on EOF."""
        try:
            return os.read(self.reader, 65_536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for end in (self.reader, self.writer):
            os.close(end)


def wait(bells: Iterable[Bell | int], seconds: float | None) -> list[Bell | int]:
    """Return the bells and file descriptors that are ready, after `seconds` at most."""
    ready, _, _ = select.select(list(bells), [], [], seconds)
    return ready
