"""A wall clock that is wrong for some processes, by libfaketime."""

import os
from pathlib import Path

# Python sleeps until a moment of the monotonic clock; libfaketime 0.9.10 takes that for
# one of the wall clock that it fakes, and refuses.
SLEEP = """
import select
import time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class Clock:
    """The wall clock of the processes that get its environment; monotonic goes on."""

    def __init__(self, folder):
        self._file = folder / "offset"
        (folder / "sitecustomize.py").write_text(SLEEP)
        self.environment = {
            "LD_PRELOAD": LIBRARIES[0],
            "FAKETIME_TIMESTAMP_FILE": self._file,
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}",
        }
        self.step_to("+0")

    def step_to(self, offset):
        """Be off by so many seconds, with a sign, from now on."""
        self._file.write_text(f"{offset}\n")
