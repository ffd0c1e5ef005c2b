"""The site and the worker, each in a process of its own."""

import os
import socket
import subprocess
import sys
import time

from django.conf import settings

POLL = 0.05  # seconds between two looks at something that is awaited
STOP_TIMEOUT = 40  # seconds; above DBQUEUE["GRACE"]


class Failed(Exception):
    """Something did not come out as it should; the message says what."""


class Service:
    """A command of manage.py, running in the background."""

    def __init__(self, name, *arguments):
        self.name = name
        self.log = settings.VAR / f"{name}.log"
        self._command = [sys.executable, str(settings.BASE / "manage.py"), *arguments]
        self._process = None

    def __enter__(self):
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for the walkthrough, which
            # then stops its services in order.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        return self

    def __exit__(self, *exception):
        self.stop()

    def stop(self):
        """End the process with SIGTERM and return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def check(self):
        """Raise Failed if the process ended by itself."""
        code = self._process.poll()
        if code is not None:
            words = self.last_words()
            raise Failed(f"The {self.name} ended with code {code}.\n{words}")

    def last_words(self):
        """Return the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "\n    ".join([f"{self.log} ends with:", *lines])


def wait_until(holds, *, seconds, otherwise, services):
    """Wait for `holds()`. Raises Failed with `otherwise()`, or when a service ends."""
    deadline = time.monotonic() + seconds
    while not holds():
        for service in services:
            service.check()
        if time.monotonic() > deadline:
            raise Failed(otherwise())
        time.sleep(POLL)


def free_port(wanted=0):
    """Return the port that is wanted, if it is free, or another one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return probe.getsockname()[1]
