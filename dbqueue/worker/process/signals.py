"""Signals of the worker's processes, and none of that in what their jobs start."""

import faulthandler
import os
import signal
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Protocol

from dbqueue.worker.process import streams, terminal

# Held back from the fork until the process has handlers of its own.
HELD = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
)
_HANDLED = (
    *HELD,
    *(signal.SIGUSR2, signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU),
)


class _Stoppable(Protocol):
    def stop(self, *, now: bool = False) -> None: ...


def hold() -> None:
    """Hold signals back in this thread; what it forks or starts does so, too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def let_through() -> None:
    """Let the signals through that hold() held back.

    To be called when they can be acted on: in a child, its handlers are set; in its
    parent, the child is on record.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)


def reset() -> None:
    """Give this process, just forked, handlers that are not its parent's.

    A function that does nothing instead of SIG_IGN: programs inherit that, but no
    functions.
    """
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        if not is_unheard(number):
            signal.signal(number, signal.SIG_DFL)
    # The supervisor decides what Ctrl-C means.
    signal.signal(signal.SIGINT, do_nothing)
    signal.signal(signal.SIGUSR2, do_nothing)  # it is quiet by word of the supervisor
    error = streams.number_of_stderr()
    faulthandler.register(signal.SIGQUIT, file=error, all_threads=True)


def do_nothing(number: int, frame: FrameType | None) -> None:
    """Handle a signal that is for other processes to act on."""


def ignore_stops() -> None:
    """Leave it to others to end this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, do_nothing)


class ChildSignals:
    """The handlers of a child. What comes before there is a worker waits for it."""

    def __init__(self, on_sigchld: Callable[[], None]) -> None:
        self._worker: _Stoppable | None = None
        self._told = self._told_now = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGUSR1, self._stop)
        if not is_unheard(signal.SIGHUP):
            signal.signal(signal.SIGHUP, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: on_sigchld())
        terminal.share(os.getppid())
        _protect_forks()
        let_through()

    def hand_to(self, worker: _Stoppable) -> None:
        self._worker = worker
        if self._told:
            worker.stop(now=self._told_now)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._told = True
        self._told_now |= number == signal.SIGUSR1
        if self._worker is not None:
            self._worker.stop(now=self._told_now)


def is_unheard(number: signal.Signals) -> bool:
    """Tell whether nohup, which means it, has this process ignore the signal."""
    ignored = signal.getsignal(number) is signal.SIG_IGN
    return number is signal.SIGHUP and ignored


class _Forks:
    """What a job forks gets the handlers and the mask that it would have elsewhere.

    multiprocessing ends its processes by SIGTERM. Until it has come so far, what comes
    is held back, or it would meet the child's handlers and be lost.
    """

    def __init__(self) -> None:
        self.owner = 0  # pid of the child; what its jobs have forked is on its own
        self._masks: dict[int, set[int | signal.Signals]] = {}  # by the forking thread

    def before(self) -> None:
        if os.getpid() == self.owner:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
            self._masks[get_ident()] = mask

    def after_in_parent(self) -> None:
        mask = self._masks.pop(get_ident(), None)
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def after_in_child(self) -> None:
        self.owner = 0
        if get_ident() in self._masks:
            faulthandler.unregister(signal.SIGQUIT)
            for number in _HANDLED:
                if not is_unheard(number):
                    signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.after_in_parent()
        self._masks.clear()


_forks = _Forks()
os.register_at_fork(
    before=_forks.before,
    after_in_parent=_forks.after_in_parent,
    after_in_child=_forks.after_in_child,
)


def _protect_forks() -> None:
    _forks.owner = os.getpid()
