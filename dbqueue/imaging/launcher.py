"""The one zygote of this process: started when first needed, replaced when it died."""

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from dbqueue.exceptions import MissingExtra
from dbqueue.imaging.exceptions import SandboxFailed

logger = logging.getLogger(__name__)

# The layers that do not depend on the user: a kernel of 5.13 or later has them.
WANTED = ("Landlock", "seccomp")
_PATIENCE = 30.0  # seconds that an interpreter with Pillow may take to start
# -I ignores the paths in the environment: they are handed over.
_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from dbqueue.imaging.child.zygote import serve
serve(int(sys.argv[2]))
"""
# How the loader finds the interpreter's own libraries; nothing else is passed on.
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_ENVIRONMENT = {
    # glibc would reserve address space, which is limited, for each thread of a decoder.
    "MALLOC_ARENA_MAX": "1",
    # Huge pages: a photo's first touch of its memory is 800 page faults, not 20,000.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class Launcher:
    """Hands descriptors to the zygote. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._layers: tuple[str, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of what confines the children, beside their limits.

        Raises MissingExtra without Pillow, and SandboxFailed if no zygote starts.
        """
        with self._lock:
            if not self._control:
                self._control = self._started()
            return self._layers

    def hand_over(self, descriptors: Sequence[int]) -> None:
        """Have a child forked for the source, the channel and the folder.

        Raises MissingExtra without Pillow, and SandboxFailed if no zygote starts.
        """
        with self._lock:
            if self._control and self._sent(self._control, descriptors):
                return
            self._discard()
            self._control = self._started()
            if not self._sent(self._control, descriptors):
                raise SandboxFailed("The sandbox ended as soon as it had started.")

    def close(self) -> None:
        """End the zygote and what it renders."""
        with self._lock:
            self._discard()

    def forget(self) -> None:
        """Let go of the zygote: this is a fork, and it serves the parent."""
        if self._control:
            self._control.close()
        if self._process:
            self._process.returncode = 0  # no child of this process, and none to reap

    def _sent(self, control: socket.socket, descriptors: Sequence[int]) -> bool:
        try:
            socket.send_fds(control, [b"."], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _started(self) -> socket.socket:
        if not find_spec("PIL"):
            raise MissingExtra(
                "Pillow is not installed, so no picture can be read. Install it: "
                "pip install 'dbqueue-django[images]'."
            )
        near, far = socket.socketpair()
        with far:
            self._process = _process(far.fileno())
        near.settimeout(_PATIENCE)
        with suppress(OSError):
            if line := near.makefile("rb").readline():
                near.settimeout(None)
                self._layers = tuple(json.loads(line))
                _tell_of(self._layers)
                return near
        near.close()
        self._discard()
        raise SandboxFailed(
            f"The sandbox did not start; {_interpreter()!r} may say why on its "
            "standard error."
        )

    def _discard(self) -> None:
        if self._control:
            self._control.close()
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._control = self._process = None


def layers() -> tuple[str, ...]:
    """See Launcher.layers."""
    return _launcher.layers


def hand_over(descriptors: Sequence[int]) -> None:
    """See Launcher.hand_over()."""
    _launcher.hand_over(descriptors)


def _tell_of(layers: Sequence[str]) -> None:
    missing = [layer for layer in WANTED if layer not in layers]
    level = logging.WARNING if missing else logging.INFO
    logger.log(level, "Sandbox started layers=%s missing=%s", list(layers), missing)


def _process(control: int) -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path]
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return subprocess.Popen(
        [_interpreter(), "-I", "-c", _START, json.dumps(path), str(control)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT | passed_on,
        cwd="/",
        pass_fds=[control],
        # The terminal's Ctrl-C is for the worker to act on, and other jobs share it.
        start_new_session=True,
    )


def _interpreter() -> str:
    # Inside uWSGI, sys.executable is uWSGI.
    if "python" in Path(sys.executable).name.lower():
        return sys.executable
    return str(Path(sys.exec_prefix, "bin", "python3"))


def _after_fork() -> None:
    global _launcher
    _launcher.forget()
    _launcher = Launcher()  # another thread of the parent may have held the lock


_launcher = Launcher()
os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _launcher.close())
