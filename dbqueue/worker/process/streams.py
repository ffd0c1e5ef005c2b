"""The standard streams, which may be closed, broken or replaced by anything."""

import os
import sys
from contextlib import suppress

_NAMES = ("stdin", "stdout", "stderr")


def fill() -> None:
    """Open /dev/null in the place of each standard stream that is closed.

    The next file or socket would get its number, and with it what programs and C code
    write there.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        stream = getattr(sys, name)
        if stream is None or getattr(stream, "closed", False):
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115  stays open


def number_of_stderr() -> int:
    """Return the descriptor of standard error, for what writes without Python."""
    with suppress(Exception):  # in its place may be an object without, or with None
        number = sys.stderr.fileno()
        os.fstat(number)
        return number
    return 2


def flush() -> None:
    """Write out what is buffered, as far as there is anybody to read it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
