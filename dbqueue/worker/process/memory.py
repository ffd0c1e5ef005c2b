"""How much memory this process uses."""

import os
import resource
import sys
from pathlib import Path

_MIB = 1024 * 1024
_STATM = Path("/proc/self/statm")


def resident_of(pid: int) -> int | None:
    """Return the resident memory of a process in bytes; None if it is unknown."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def resident() -> float:
    """Return the resident memory in MiB; where /proc is missing, its peak so far."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024
