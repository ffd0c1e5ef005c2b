"""Forking, signalling, and which child fills which place."""

import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from dbqueue.worker.process import programs, signals, streams
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
# How often in a row a process may end at once, before the worker gives up.
DEATHS = 5
_DESCRIPTORS_FOR_THE_REST = 200  # of files, beside the pipes of Links


@dataclass(slots=True, eq=False)
class Place:
    """The keeper's, or one of `--processes`: what fills it now, and what may next."""

    pid: int = 0
    child: ChildState | None = None  # the keeper has none
    started_at: float = 0.0
    crashes: int = 0
    stillborn: int = 0  # how many in a row crashed before they had worked
    # What its child will have died of. Only when it and its programs are gone may its
    # jobs run elsewhere.
    verdict: Phase = Phase.DEAD
    start_at: float = 0.0  # monotonic
    thawed_at: float = 0.0  # monotonic: when it went on after a stop
    finished: bool = False  # drained

    def clear(
        self,
        reason: ExitReason,
        now: float,
        *,
        worked: bool = True,
        at_work: bool = False,
    ) -> bool:
        """Note that the process has exited; return whether it crashed.

        `worked`: it had come to what it is there for; `at_work`: jobs were running.
        """
        self.pid = 0
        self.finished = reason is ExitReason.DRAINED
        if reason not in (ExitReason.NONE, ExitReason.ABANDONED):
            self.crashes = self.stillborn = 0
            return False
        was_stable = now - self.started_at > STABLE
        # A job that ends its process can do so a few times only, and has pauses of its
        # own: the others are not to wait for it.
        self.crashes = 1 if was_stable or at_work else self.crashes + 1
        had_lease = worked or reason is ExitReason.ABANDONED
        self.stillborn = 0 if was_stable or had_lease else self.stillborn + 1
        # At once after the first, which may be an accident; then longer each time.
        self.start_at = now + min(5.0, 0.1 * 2 ** min(self.crashes - 1, 10) - 0.1)
        return True

    @property
    def is_hopeless(self) -> bool:
        return self.stillborn >= DEATHS

    def is_disowned(self, since: float) -> bool:
        """Tell whether its child goes on, though no heartbeat arrived since then.

        One that was stopped and goes on gets a second to find out by itself.
        """
        child = self.child
        if child is None or not child.beat or child.phase is Phase.FROZEN:
            return False
        return child.beat < since and time.monotonic() > self.thawed_at + 1.0

    def log_crash(self, why: str) -> None:
        what = "The keeper" if self.child is None else "A child"
        if self.is_hopeless:
            message = "%s ended as soon as it began, %d times in a row (%s); giving up"
            logger.critical(message, what, self.stillborn, why)
        else:
            # Each job that a child fails by that has an ERROR of its own.
            level = logging.ERROR if self.child is None else logging.WARNING
            logger.log(level, "%s ended (%s); starting another", what, why)


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
        # Why a process ended that could say it, for the supervisor.
        self.last_words = WakePipe()

    def keep(self, notices: WakePipe | None) -> None:
        """Close, in a process below the supervisor, what it is not to hold open.

        That the writing ends are closed shows that the supervisor has exited. `notices`
        is a child's own, None keeps all for the keeper.
        """
        os.close(self.parent_pipe[1])
        os.close(self.orders.writer)
        if notices is not None:
            for pipe in self.notices:
                if pipe is not notices:
                    pipe.close()

    def said(self) -> str:
        """Return the last words of a process that has ended."""
        return self.last_words.drain().decode(errors="replace")

    def close(self) -> None:
        """Close what the supervisor holds open."""
        for pipe in (*self.notices, self.orders, self.last_words):
            pipe.close()
        for end in self.parent_pipe:
            os.close(end)

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

    def pids(self) -> set[int]:
        return {place.pid for place in (self.keeper, *self.places)}

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


def fork(become: Callable[[], int], links: Links, *, group: bool) -> int:
    """Fork a process that runs `become` and exits with its code; return its pid.

    It leads a process `group` of its own, or is in the parent's. Both processes call
    signals.let_through() when they are ready. Raises OSError if there is no room.
    """
    # A signal between the fork and the child's own handlers would meet the parent's,
    # and be lost on the copy.
    signals.hold()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        signals.let_through()
        raise
    if group:
        with suppress(OSError):  # the other of the two was faster, and it has gone
            os.setpgid(pid, pid)
    if pid:
        return pid
    code = 1
    try:
        signals.reset()
        code = become()
    # Whatever it is, a library's SystemExit, too: it must not run on in its parent's
    # code.
    except BaseException as error:
        words = f"{type(error).__name__}: {error}"
        links.last_words.wake(words.encode(errors="replace")[:500])
        logger.critical("Process %s of the worker failed", os.getpid(), exc_info=True)
    finally:
        streams.flush()
        if os.getppid() != parent:  # which would end what jobs have started
            programs.end_all()
        # No clean-up of the parent's, and no waiting for threads that are stuck.
        os._exit(code)


def allow_open_files(processes: int) -> str | None:
    """Have this process be allowed the pipes of so many; return why it cannot be."""
    needed = 4 * (processes + 1) + _DESCRIPTORS_FOR_THE_REST
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return None
    if hard != resource.RLIM_INFINITY and needed > hard:
        return (
            f"{processes} processes need {needed} open files, and the system allows "
            f"{hard}. Raise that (`ulimit -n`, or LimitNOFILE= in systemd), or start "
            "fewer."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return None


def news_of(pid: int) -> int | None:
    """Return the status of a child that ended, stopped or went on; None = no news."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    except ChildProcessError:  # somebody else took it
        return 0
    return status if found else None


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended by itself; the next reap says so
        os.kill(pid, number)


def reason(status: int, words: str = "") -> str:
    """Return what a process died of; `words` are its last, if it had any."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name
        return f"{name}, perhaps out of memory" if -code == signal.SIGKILL else name
    return f"exit code {code}: {words}" if words else f"exit code {code}"
