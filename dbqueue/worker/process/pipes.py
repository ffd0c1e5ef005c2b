"""Pipes that wake a waiting loop: from threads, signals and other processes."""

import os
import select
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

# Ends each queue name that the keeper writes into a child's wake pipe.
END = b"\0"


class WakePipe:
    """A pipe whose reader wakes when a byte is written. Two bytes wake it once."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        for end in (self.reader, self.writer):
            os.set_blocking(end, False)

    def fileno(self) -> int:
        return self.reader

    def wake(self, note: bytes = b"!") -> None:
        # Full: it will wake anyway. Broken: there is no reader to wake.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self.writer, note)

    def drain(self) -> bytes:
        """Take out and return what was written; b"" if nothing was, or at its end."""
        try:
            return os.read(self.reader, 65_536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for end in (self.reader, self.writer):
            os.close(end)


def wait(
    pipes: Iterable[WakePipe | int], seconds: float | None
) -> list[WakePipe | int]:
    """Return the pipes and file descriptors that are ready, after `seconds` at most."""
    ready, _, _ = select.select(list(pipes), [], [], seconds)
    return ready


class News(NamedTuple):
    """What woke a child."""

    queues: set[str]  # in which the keeper knows of work; "" is any
    orphaned: bool  # the supervisor is gone


class Inbox:
    """All that may wake a child: its own threads, its keeper, its supervisor's end.

    `notices` is the keeper's pipe to it, `parent_pipe` the read end of one that the
    supervisor holds open; either is None where there is no such process.
    """

    def __init__(
        self, own: WakePipe, notices: WakePipe | None, parent_pipe: int | None
    ) -> None:
        self._own = own
        self._notices = notices
        self._parent_pipe = parent_pipe
        self._orphaned = False

    def wait(self, seconds: float) -> News:
        """Wait for news, `seconds` at most, and return them."""
        pipes: list[WakePipe | int] = [self._own]
        if self._notices is not None:
            pipes.append(self._notices)
        if self._parent_pipe is not None:
            pipes.append(self._parent_pipe)
        ready = wait(pipes, seconds)
        notes = {pipe: pipe.drain() for pipe in ready if isinstance(pipe, WakePipe)}
        if self._parent_pipe in ready:
            # At its end of file it would be ready for ever.
            self._parent_pipe, self._orphaned = None, True
        queues = notes[self._notices].split(END)[:-1] if self._notices in notes else []
        return News({queue.decode() for queue in queues}, self._orphaned)
