"""Pipes that wake a waiting loop: from threads, signals and other processes."""

import os
import select
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

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


def wait(pipes: Iterable[WakePipe | int], seconds: float) -> list[WakePipe | int]:
    """Return the pipes and file descriptors that are ready, after `seconds` at most."""
    pipes = list(pipes)
    try:
        ready, _, _ = select.select(pipes, [], [], seconds)
    except ValueError:
        # A number above 1023. poll() knows them all, but no time below a millisecond.
        return _poll(pipes, seconds)
    return ready


def _poll(pipes: list[WakePipe | int], seconds: float) -> list[WakePipe | int]:
    poll, by_number = select.poll(), dict[int, WakePipe | int]()
    for pipe in pipes:
        by_number[pipe if isinstance(pipe, int) else pipe.fileno()] = pipe
        poll.register(pipe, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(seconds * 1000)]


@dataclass
class Inbox:
    """All that may wake a child: its own threads, its keeper, its supervisor's end.

    `notices` is the keeper's pipe to it, `parent_pipe` the read end of one that the
    supervisor holds open; either is None where there is no such process.
    """

    own: WakePipe
    notices: WakePipe | None
    parent_pipe: int | None
    orphaned: bool = False  # the supervisor has exited

    def wait(self, seconds: float) -> set[str]:
        """Wait, `seconds` at most; return the queues with work, "" for any."""
        pipes = (self.own, self.notices, self.parent_pipe)
        ready = wait([pipe for pipe in pipes if pipe is not None], seconds)
        notes = {pipe: pipe.drain() for pipe in ready if isinstance(pipe, WakePipe)}
        if self.parent_pipe in ready:
            # At its end of file it would be ready for ever.
            self.parent_pipe, self.orphaned = None, True
        queues = notes[self.notices].split(END)[:-1] if self.notices in notes else []
        return {queue.decode() for queue in queues}
