"""How much memory this process uses."""

import os
import resource
import sys
from pathlib import Path

_MIB = 1024 * 1024
_STATM = Path("/proc/self/statm")


def resident() -> float:
    """Return the resident memory in MiB; where /proc is missing, its peak so far."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024
