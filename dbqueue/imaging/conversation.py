"""One order to the sandbox, and what is heard of it until its child is dead."""

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
_LAST_WORDS = 2.0  # seconds that a child which was hung up on may take to die
_MOST = 2**20  # bytes; who says more is taken over, and not listened to


class Conversation:
    """What is said on the channel: a line of the child's, and one of the zygote's."""

    def __init__(self, near: socket.socket) -> None:
        self.said: dict[str, Any] = {}
        self.late = False  # the wall clock was faster
        self._near = near
        self._near.settimeout(_SLICE)
        self._line = b""
        self._heard = 0  # bytes
        self._over = False

    @property
    def over_time(self) -> bool:
        return self.late or self.said.get("status") == -signal.SIGXCPU

    @property
    def zygote_lost(self) -> bool:
        silent = "status" not in self.said and self._heard <= _MOST
        return silent and not self.late

    @property
    def crashed(self) -> bool:
        return self.said.get("status") != 0

    def hold(self, order: Order) -> None:
        """Give the order and listen until the child is dead, one way or the other."""
        try:
            with suppress(BrokenPipeError):  # nobody is there, as will be heard
                self._near.sendall(order.as_line())
            self.late = not self._listen(order.limits.wall_seconds)
        finally:
            # After the wall clock, or an exception that ends the job: the zygote
            # kills the child, and the folder is at rest.
            with suppress(OSError):
                self._near.shutdown(socket.SHUT_WR)
            self._listen(_LAST_WORDS)

    def _listen(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._over and time.monotonic() < deadline:
            self._hear()
        return self._over

    def _hear(self) -> None:
        try:
            data = self._near.recv(65_536)
        except TimeoutError:
            return
        except ConnectionResetError:
            data = b""
        self._heard += len(data)
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._understand(line)
        ended = not data or "status" in self.said
        self._over = ended or self._heard > _MOST

    def _understand(self, line: bytes) -> None:
        # What else a decoder may say that was taken over.
        with suppress(ValueError, TypeError, RecursionError):
            self.said.update(json.loads(line))


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
