"""One order to the sandbox, and its answers until its child is dead."""

import json
import os
import signal
import socket
import time
from contextlib import closing, suppress
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
    """What arrives on the channel: a line of the child's, and one of the zygote's."""

    def __init__(self, near: socket.socket) -> None:
        self.answer: dict[str, Any] = {}
        self.late = False  # the wall clock was faster
        self._seconds = 0
        self._near = near
        self._near.settimeout(_SLICE)
        self._line = b""
        self._received = 0  # bytes
        self._over = False

    @property
    def over_time(self) -> bool:
        """Whether the picture took more than its seconds of processor time."""
        used = self.answer.get("cpu", 0)
        return self.status == -signal.SIGXCPU or (self.late and used >= self._seconds)

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
        status: int | None = self.answer.get("status")
        return status

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
            self._read_for(_GRACE)

    def _read_for(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._over and time.monotonic() < deadline:
            self._read()
        return self._over

    def _read(self) -> None:
        try:
            data = self._near.recv(65_536)
        except TimeoutError:
            return
        except ConnectionResetError:
            data = b""
        self._received += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            # A compromised decoder may send anything else.
            with suppress(ValueError, TypeError, RecursionError):
                self.answer.update(json.loads(line))
        # Its end, and not a line that anybody may send, tells that the child is dead.
        self._over = not data or self.flooded


def converse(order: Order, source: int, folder: Path) -> Conversation:
    """Have a child carry out the order; return when it is dead or beyond reach."""
    near, far = socket.socketpair()
    with closing(near):
        with closing(far):
            place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                hand_over([source, far.fileno(), place])
            finally:
                os.close(place)
        conversation = Conversation(near)
        conversation.hold(order)
        return conversation
