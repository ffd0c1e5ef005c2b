"""One order to the sandbox, and its answers until its child is dead."""

import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbqueue.imaging.launcher import hand_over
from dbqueue.imaging.order import Order

_SLICE = 0.25  # seconds until the job's own timeout gets a chance to be raised
_GRACE = 2.0  # seconds that a child may take to die after the channel was closed
# All other signals come from outside, KILL from a kernel that is short of memory.
_CRASHES = [
    -number
    for number in (
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
]
_MOST = 2**20  # bytes; a child that sends more is compromised, and ignored


class Conversation:
    """What arrives: lines of the child's on the channel, and the zygote's verdict.

    The verdict comes by a pipe that no child has. So it is true, and its end tells that
    the child is dead, whatever the child may say or close.
    """

    def __init__(self, near: socket.socket, verdict: int) -> None:
        self.answer: dict[str, Any] = {}
        self.late = False  # the wall clock was faster
        self._seconds = 0
        self._near = near
        self._near.settimeout(_SLICE)
        self._verdict = verdict
        self._line = self._told = b""
        self._received = 0  # bytes
        self._silent = self._over = False

    @property
    def over_time(self) -> bool:
        """Whether the picture took more than its seconds of processor time."""
        late = self.late and self.used >= self._seconds
        return self.status == -signal.SIGXCPU or late

    @property
    def flooded(self) -> bool:
        return self._received > _MOST

    @property
    def crashed(self) -> bool:
        """Whether the decoder broke, which the picture is to blame for."""
        return self.flooded or self.status in _CRASHES

    @property
    def status(self) -> int | None:
        """The exit code of the child, a signal below zero; None if nobody told."""
        status: int | None = self._tells("status")
        return status

    @property
    def used(self) -> float:
        """The seconds of processor time that the child has used, as far as is known."""
        return float(self._tells("cpu") or 0.0)

    @property
    def failure(self) -> Any:
        """What the machine is to blame for, by the zygote's word or the child's."""
        return self._tells("failed") or self.answer.get("failed")

    def hold(self, order: Order) -> None:
        """Send the order and read until the child is dead."""
        self._seconds = order.limits.cpu_seconds
        try:
            # The child may have exited; the read end will show it.
            with suppress(BrokenPipeError):
                self._near.sendall(order.as_line())
            self.late = not self._read_for(order.limits.wall_seconds)
        finally:
            # After the wall clock, or an exception that ends the job: the zygote
            # kills the child, and the folder is at rest.
            with suppress(OSError):
                self._near.shutdown(socket.SHUT_WR)
            self._read_for(_GRACE, to_the_end=True)

    def _read_for(self, seconds: float, *, to_the_end: bool = False) -> bool:
        deadline = time.monotonic() + seconds
        while not self._over and time.monotonic() < deadline:
            if self.flooded and not to_the_end:
                return True
            self._read(_SLICE)
        return self._over

    def _read(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._verdict, select.POLLIN)
        if not self._silent and not self.flooded:
            poll.register(self._near, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(1000 * seconds)}
        # First what the child has said: the verdict comes behind it.
        if self._near.fileno() in ready:
            self._listen()
        elif self._verdict in ready:
            told = os.read(self._verdict, 4096)
            self._told += told
            self._over = not told

    def _listen(self) -> None:
        try:
            data = self._near.recv(65_536)
        except ConnectionResetError:
            data = b""
        self._silent = not data
        self._received += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            # A compromised decoder may send anything else.
            with suppress(ValueError, TypeError, RecursionError):
                self.answer.update(json.loads(line))

    def _tells(self, what: str) -> Any:
        return json.loads(self._told or b"{}").get(what)


def converse(order: Order, source: int, folder: Path) -> Conversation:
    """Have a child carry out the order; return when it is dead or beyond reach."""
    near, far = socket.socketpair()
    verdict, pronounced = os.pipe()
    with near, open(verdict, "rb", buffering=0):
        with far, open(pronounced, "wb", buffering=0):
            _hand_over(source, far.fileno(), folder, pronounced)
        conversation = Conversation(near, verdict)
        conversation.hold(order)
        return conversation


def _hand_over(source: int, far: int, folder: Path, pronounced: int) -> None:
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        readable = _to_be_read(source)
        try:
            hand_over([readable, far, place, pronounced])
        finally:
            os.close(readable)
    finally:
        os.close(place)


def _to_be_read(source: int) -> int:
    """Return another descriptor of the file; on Linux, one that cannot write to it."""
    with suppress(OSError):
        return os.open(f"/proc/self/fd/{source}", os.O_RDONLY)
    return os.dup(source)
