"""The terminal, which children take when a job reads it: breakpoint(), input().

Each child leads a process group, so that Ctrl-C reaches the supervisor alone; but the
kernel lets only one group, that in the foreground, read a terminal.
"""

import os
import signal
from contextlib import suppress
from types import FrameType

_supervisor = 0
_before: tuple[int, int] | None = None  # a terminal, and who had it before this group


def share(supervisor: int) -> None:
    """Let this process read its terminal; Ctrl-C then goes on to the supervisor."""
    global _supervisor
    _supervisor = supervisor
    for number in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, _take)
    signal.signal(signal.SIGINT, _interrupted)


def foreground() -> tuple[int, int] | None:
    """Return the terminal's descriptor and the group in its foreground, if any."""
    for number in (0, 1, 2):
        with suppress(OSError):
            return number, os.tcgetpgrp(number)
    return None


def give(terminal: int, group: int) -> None:
    """Put another group into the foreground; it may be gone, or the terminal."""
    # From the background, that would stop this process.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        with suppress(OSError):
            os.tcsetpgrp(terminal, group)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def give_back(child: int, before: tuple[int, int] | None) -> None:
    """Take the terminal back from a child that has ended."""
    now = foreground()
    if before is not None and now is not None and now[1] == child:
        give(*before)


def _take(number: int, frame: FrameType | None) -> None:
    # The call that brought the signal is made again after it, and succeeds.
    global _before
    now = foreground()
    if now is None:
        return
    if now[1] != os.getpgrp():
        _before = now
        give(now[0], os.getpgrp())
    # The signal stopped the programs of this group.
    os.killpg(0, signal.SIGCONT)


def _interrupted(number: int, frame: FrameType | None) -> None:
    now = foreground()
    if _before is not None and now is not None and now[1] == os.getpgrp():
        give(*_before)
        with suppress(ProcessLookupError):
            os.kill(_supervisor, signal.SIGINT)
