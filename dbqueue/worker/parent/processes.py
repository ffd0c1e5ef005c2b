"""Forking, signalling, and which child fills which place."""

import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.shared import (
    ENDED,
    ChildState,
    ExitReason,
    Heartbeat,
    Phase,
    make_children,
)

logger = logging.getLogger(__name__)

# Seconds a child must have lived for its crash to be taken as an accident.
STABLE = 10.0
_HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)


@dataclass(slots=True, eq=False)
class Place:
    """The keeper's, or one of `--processes`: what fills it now, and what may next."""

    pid: int = 0
    child: ChildState | None = None  # the keeper has none
    started_at: float = 0.0
    crashes: int = 0
    start_at: float = 0.0  # monotonic
    finished: bool = False  # drained

    def clear(self, reason: ExitReason, now: float) -> bool:
        """Note that the process has exited; return whether it crashed."""
        self.pid = 0
        self.finished = reason is ExitReason.DRAINED
        if reason in (ExitReason.STOPPED, ExitReason.DRAINED, ExitReason.RECYCLED):
            self.crashes = 0
            return False
        self.crashes = 1 if now - self.started_at > STABLE else self.crashes + 1
        # At once after the first, which may be an accident; then longer each time.
        self.start_at = now + min(5.0, 0.1 * 2 ** min(self.crashes - 1, 10) - 0.1)
        return True


class Links:
    """What the supervisor shares with the processes that it forks."""

    def __init__(self, processes: int, places: int) -> None:
        # Twice as many: the state of a dead child is kept until it has been reaped.
        self.children = make_children(2 * processes + 2, places)
        # The keeper's to each child, in the same order.
        self.notices = [WakePipe() for _ in self.children]
        self.orders = WakePipe()  # the supervisor's to the keeper
        # Its end of file means to the children that the supervisor has exited.
        self.parent_pipe = os.pipe()
        self.heartbeat = Heartbeat()  # the supervisor's

    def free(self) -> tuple[ChildState, WakePipe] | None:
        """Return the state and the pipe for another child, if there is room."""
        for child, pipe in zip(self.children, self.notices, strict=True):
            if child.phase is Phase.EMPTY:
                return child, pipe
        return None

    def all_reaped(self) -> bool:
        return all(child.phase not in ENDED for child in self.children)


@dataclass(slots=True)
class Family:
    """The processes below the supervisor."""

    places: list[Place]  # of the children
    keeper: Place = field(default_factory=Place)
    crashed: bool = False  # a child, since one was last started to look again

    def children(self) -> list[Place]:
        return [place for place in self.places if place.pid]

    def has_drained(self, *, reaped: bool) -> bool:
        """Tell whether all is done; after a crash, have a child look again.

        What a dead child held is ready only when it is `reaped`. The others may have
        looked, found nothing and left before that.
        """
        if not all(place.finished for place in self.places):
            return False
        if self.crashed and reaped:
            self.crashed = self.places[0].finished = False
            return False
        return not self.crashed


def fork(become: Callable[[], int], *, close: Sequence[int]) -> int:
    """Fork a process that runs `become` and exits with its code; return its pid.

    `close` are file descriptors that only the parent is to hold. Both processes call
    unblock_signals() when they are ready.
    """
    # A signal between the fork and the child's own handlers would meet the parent's,
    # and be lost on the copy. Held back, it waits for unblock_signals().
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for descriptor in close:
            os.close(descriptor)
        signal.set_wakeup_fd(-1)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # A terminal's Ctrl-C reaches the whole group; the supervisor decides.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        faulthandler.register(signal.SIGQUIT, all_threads=True)
        code = become()
    except Exception:
        logger.critical("Process %s of the worker failed", os.getpid(), exc_info=True)
    finally:
        sys.stdout.flush()
        # No clean-up of the parent's, and no waiting for threads that are stuck.
        os._exit(code)


def unblock_signals() -> None:
    """Let the signals through that fork() held back, in either process.

    To be called when they can be acted on: in the child, its handlers are set; in the
    parent, the child is on record.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself; the next reap says so
        os.kill(pid, number)


def reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
