"""runworker --with: a worker and another command, as one: a web server, mostly.

This process runs no job. It starts both, hands on signals, starts the worker again if
it ends by itself, and ends with the command.
"""

import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from types import FrameType
from typing import Any

from django.core.management.base import CommandError
from django.utils import autoreload

from dbqueue.management.embedding import PARENTS
from dbqueue.worker.process import programs, signals
from dbqueue.worker.process.pipes import WakePipe, wait

logger = logging.getLogger("dbqueue")

# Set in the worker that is beside the command.
BESIDE = "DBQUEUE_BESIDE"
# Handed on: to both, to the command, to the worker.
_BOTH = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
_COMMANDS = (signal.SIGUSR1, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)
_WORKERS = (signal.SIGUSR2,)
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
# Seconds after which a worker counts as one that had worked; how often in a row it may
# end before that; and the pause between.
STABLE, DEATHS, PAUSE = 60.0, 5, 1.0


def words_of(command: str) -> list[str]:
    """Return the command as a list. Raises CommandError if there is no such program."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CommandError(f"--with {command!r}: {error}.") from None
    if not words or shutil.which(words[0]) is None:
        name = words[0] if words else ""
        raise CommandError(
            f"--with {command!r}: no program is called {name!r}. Give its path; what "
            "is for a shell needs one, as in --with \"sh -c '…'\"."
        )
    return words


class Pair:
    """The command and the worker beside it. `run()` returns the exit code."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._pipe = WakePipe()
        self._server: Any = None
        self._worker: Any = None
        self._stopping = False
        self._started_at = self._start_at = 0.0
        self._deaths = 0
        self._failed = 0

    def run(self) -> int:
        self._handle_signals()
        self._server = _start(self._command, os.environ)
        while True:
            self._start_worker()
            wait([self._pipe], 0.5)
            self._pipe.drain()
            self._look_after_worker()
            if self._server.poll() is not None:
                break
        self._stop([self._worker])
        worker = self._worker.wait() if self._worker else 0
        if worker == -signal.SIGTERM:  # it was only about to begin
            worker = 0
        return self._failed or _code(self._server.returncode) or _code(worker)

    def _handle_signals(self) -> None:
        signal.set_wakeup_fd(self._pipe.writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, signals.do_nothing)
        for number in (*_BOTH, *_COMMANDS, *_WORKERS):
            if not signals.is_unheard(number):
                signal.signal(number, self._hand_on)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        self._stopping |= number in _STOPS
        if number not in _WORKERS:
            _send(self._server, number)
        if number not in _COMMANDS:
            _send(self._worker, number)

    def _start_worker(self) -> None:
        due = time.monotonic() >= self._start_at
        if self._worker is not None or self._stopping or self._failed or not due:
            return
        self._started_at = time.monotonic()
        known = {**os.environ, BESIDE: "1", PARENTS: str(os.getpid())}
        self._worker = _start(autoreload.get_child_arguments(), known)
        if self._stopping:  # since it was asked for
            self._stop([self._worker])

    def _look_after_worker(self) -> None:
        """Start the worker again if it has ended; give up if it cannot live."""
        if self._worker is None or self._worker.poll() is None or self._stopping:
            return
        code, now = self._worker.returncode, time.monotonic()
        self._worker = None
        self._deaths = 0 if now - self._started_at > STABLE else self._deaths + 1
        self._start_at = now + (PAUSE if self._deaths else 0.0)
        if self._deaths < DEATHS:
            logger.warning("The worker ended (%s); starting it again", _told(code))
            return
        logger.critical(
            "The worker ended as soon as it had begun, %d times in a row (%s); "
            "stopping the command, too",
            *(self._deaths, _told(code)),
        )
        self._failed = _code(code) or 1
        self._stop([self._server])

    def _stop(self, processes: list[Any]) -> None:
        for process in processes:
            _send(process, signal.SIGTERM)


def _start(command: list[str], environment: Any) -> subprocess.Popen[bytes]:
    # A group of its own: a terminal's Ctrl-C reaches this process alone, which hands it
    # on once. This process has no threads, so that something may run before exec.
    return subprocess.Popen(
        command,
        env=environment,
        process_group=0,
        preexec_fn=programs.end_with_parent,
    )


def _send(process: Any, number: int) -> None:
    if process is not None and process.returncode is None:
        process.send_signal(number)


def _code(code: int) -> int:
    """Return the exit code as a shell would."""
    return code if code >= 0 else 128 - code


def _told(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
