"""The programs that jobs start: found, and ended no later than their child.

Linux alone says what a process and what each of its threads has started; elsewhere the
process group has to do. A program in a session of its own is left alone everywhere.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
# Processes of multiprocessing's own, which all jobs of a child share, and which end
# with it: one removes what others would leave behind.
_SHARED = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
# Seconds that an ended program waits for the job that may ask for its exit code.
_PATIENCE = 60.0
# Seconds between two looks for those. Each reads all of them, and any may be the sign.
_LOOK = 1.0
# Seconds to wait for what was killed.
_END = 1.0


class Program(NamedTuple):
    """A process at one moment; the start tells it from a later one of the same pid."""

    pid: int
    state: str
    session: int
    started: float  # seconds since the machine's boot

    def end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

    def is_running(self) -> bool:
        now = look(self.pid)
        return now is not None and now.started == self.started and now.state not in "ZX"


_leads = False  # whether all that this process has started is its jobs'


def lead() -> None:
    """Answer, in a child, for all that its jobs start, and what these start."""
    global _leads
    adopt()
    _leads = True


def end_all() -> None:
    """Kill what the jobs of a child have started, as it ends."""
    if _leads:
        kill(started())


def adopt(*, on: bool = True) -> bool:
    """Let what loses its parent below this process become its child, or no longer.

    Return whether it was so before.
    """
    if sys.platform != "linux":
        return False
    libc, before = ctypes.CDLL(None), ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(on), 0, 0, 0)
    return bool(before.value)


def end_with_parent() -> None:
    """Have the system end this process by SIGTERM when its parent has ended."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), 0, 0, 0)


def started_by_thread(thread: int) -> list[Program]:
    """Return what a thread of this process has started, by its native id.

    What lost its parent, or its thread, is with the main thread.
    """
    return list(_children(os.getpid(), thread))


def started() -> list[Program]:
    """Return what this process has started or adopted."""
    return list(_children_of(os.getpid()))


def started_by_jobs() -> list[Program]:
    """Return what this process has started or adopted, if that is its jobs' alone."""
    return started() if _leads else []


def children(program: Program) -> list[Program]:
    return list(_children_of(program.pid))


def trees(programs: Iterable[Program]) -> Iterator[Program]:
    """Return the programs and all below them, as far as they may be ended."""
    for program in programs:
        if is_own(program):
            yield program
            yield from trees(children(program))


def is_own(program: Program) -> bool:
    """Tell whether it was started for a job, and not to live on without."""
    if program.state in "ZX" or program.session != os.getsid(0):
        return False
    return not is_shared(program)


def is_shared(program: Program) -> bool:
    """Tell whether it is one of multiprocessing's own processes."""
    try:
        command = Path(f"/proc/{program.pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(name in command for name in _SHARED)


def end(programs: Iterable[Program], number: signal.Signals) -> list[Program]:
    """Send a signal to the programs and all below them; return these."""
    doomed = list(trees(programs))
    for program in doomed:
        program.end(number)
    return doomed


def kill(programs: Iterable[Program]) -> None:
    """End the programs and all below them, and wait until they have."""
    doomed = end(programs, signal.SIGKILL)
    deadline = time.monotonic() + _END
    while time.monotonic() < deadline and any(p.is_running() for p in doomed):
        time.sleep(0.002)


def kill_group(group: int) -> None:
    """End what is left in the process group of a child that has ended."""
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


class Adopted:
    """Processes that this one has adopted: the main thread's, which starts none."""

    def __init__(self) -> None:
        self._ended: dict[int, float] = {}  # since when, monotonic
        self._look_at = 0.0

    def reap(self) -> None:
        """Let go of those that ended, unless a job may still ask for the exit code.

        One whose thread has ended is among them, and looks the same.
        """
        now, main = time.monotonic(), os.getpid()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK
        ended = {p.pid for p in started_by_thread(main) if p.state == "Z"}
        self._ended = {pid: self._ended.get(pid, now) for pid in ended}
        for pid, since in self._ended.items():
            if now - since > _PATIENCE:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)


class Orphans:
    """What children leave behind when they end: adopted by the supervisor, and killed.

    `known` returns which of this process's children are no orphans.
    """

    def __init__(self, known: Callable[[], set[int]]) -> None:
        self._known = known
        self._theirs = {p.pid for p in started()}  # those of whoever called

    def end(self) -> None:
        """Kill those that are here by now, and let go of those that ended."""
        main = os.getpid()
        pids = set(_pids(main, main)) - self._theirs
        orphans = [program for pid in pids - self._known() if (program := look(pid))]
        end(orphans, signal.SIGKILL)
        for program in orphans:
            with suppress(ChildProcessError):
                os.waitpid(program.pid, os.WNOHANG)


def look(pid: int) -> Program | None:
    """Return the process as it is now, or None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name before it is cut to fifteen bytes, be it in the middle of a character.
    fields = stat.rpartition(b")")[2].decode().split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return Program(pid, fields[0], int(fields[3]), started)


def _children_of(pid: int) -> Iterator[Program]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            yield from _children(pid, int(thread))


def _children(pid: int, thread: int) -> Iterator[Program]:
    for child in _pids(pid, thread):
        program = look(child)
        if program is not None:
            yield program


def _pids(pid: int, thread: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
    except OSError:  # ended, or a kernel without them
        return []
    return [int(child) for child in text.split()]
