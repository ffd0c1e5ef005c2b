"""Commands of manage.py that need not import Django: forked from a process that has.

An interpreter works for a second until it has imported a project, and a run of the
tests starts hundreds. What is forked has a session, a log, an environment and settings
of its own, as if it had been started.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import django
from django.conf import settings
from django.core.management import execute_from_command_line, load_command_class
from django.core.signals import setting_changed

ROOT = Path(__file__).parent.parent.parent
GIVEN = "DBQUEUE_TEST_SETTINGS"
# What each test has of its own.
OWN = ("DBQUEUE_TEST_EFFECTS", "PYTEST_CURRENT_TEST", GIVEN)
# Settings that nobody has read when a command begins.
LATE = {"DBQUEUE", "MEDIA_ROOT"}


class Nursery:
    """Forks commands whose environment differs in LATE settings, and in no other."""

    def __init__(self, environment):
        self._common = _common(environment)
        self._socket, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.nursery", str(far.fileno())],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[far.fileno()],
                start_new_session=True,
            )
        self._born, self._codes, self._unread = 0, {}, b""

    def takes(self, command, environment):
        """Tell whether it can fork this."""
        return (
            command[0] == sys.executable
            and Path(command[1]).name == "manage.py"
            and _common(environment) == self._common
            and json.loads(environment[GIVEN]).keys() <= LATE
        )

    def fork(self, command, environment, log):
        """Start the command; its output goes into `log`."""
        log.touch()
        what = {"words": command[1:], "environment": environment, "log": str(log)}
        self._socket.sendall(json.dumps(what).encode() + b"\n")
        self._born = 0
        while not self._born:
            self._hear(None)
        return Forked(self, self._born)

    def code_of(self, pid, seconds):
        """Return the exit code, None if it is not there after so many seconds."""
        deadline = time.monotonic() + seconds
        while pid not in self._codes:
            left = max(0.0, deadline - time.monotonic())
            if not self._hear(left):
                return None
        return self._codes[pid]

    def close(self):
        self._socket.close()
        self._process.wait()

    def _hear(self, seconds):
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        received = self._socket.recv(65536)
        if not received:
            raise RuntimeError("The nursery has ended")
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            pid, code = json.loads(line)
            if code is None:
                self._born = pid
                self._codes.pop(pid, None)  # of another before it
            else:
                self._codes[pid] = code
        return True


def _common(environment):
    return {key: value for key, value in environment.items() if key not in OWN}


class Forked:
    """As much of a subprocess.Popen as tests ask for."""

    def __init__(self, nursery, pid):
        self.pid = pid
        self._nursery = nursery

    @property
    def returncode(self):
        return self.poll()

    def poll(self):
        return self._nursery.code_of(self.pid, 0.0)

    def wait(self, seconds=None):
        code = self._nursery.code_of(self.pid, seconds or float("inf"))
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", seconds)
        return code

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)


# Within the process that has imported all of it


def main(descriptor):
    """Fork what is asked for until nobody can ask any more; return it where it is."""
    django.setup()
    load_command_class("dbqueue", "runworker")
    asked, unread, forked = socket.socket(fileno=descriptor), b"", set()
    ends, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready = select.select([asked, ends], [], [])[0]
        if ends in ready:
            os.read(ends, 65536)
            for pid, code in _ended():
                forked.remove(pid)
                _tell(asked, pid, code)
        if asked in ready:
            received = asked.recv(65536)
            if not received:
                for pid in forked:
                    os.kill(pid, signal.SIGTERM)
                return None
            *lines, unread = (unread + received).split(b"\n")
            for line in lines:
                pid = _forked()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    asked.close()
                    os.close(ends)
                    os.close(writer)
                    return json.loads(line)
                forked.add(pid)
                _tell(asked, pid, None)


def _forked():
    """Fork; return the pid when the new process leads its session, and 0 in it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
    os.close(writer)
    if pid:
        os.read(reader, 1)
    os.close(reader)
    return pid


def _ended():
    with suppress(ChildProcessError):
        while (news := os.waitpid(-1, os.WNOHANG))[0]:
            yield news[0], os.waitstatus_to_exitcode(news[1])


def _tell(asked, pid, code):
    asked.sendall(json.dumps([pid, code]).encode() + b"\n")


def be_the_command(words, environment, log):
    output = os.open(log, os.O_WRONLY | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(output, stream.fileno())
    os.close(output)
    os.chdir("/")
    os.environ.clear()
    os.environ.update(environment)
    for name, value in json.loads(environment[GIVEN]).items():
        setattr(settings, name, value)
        setting_changed.send(None, setting=name, value=value, enter=True)
    sys.argv = words
    execute_from_command_line(words)


if __name__ == "__main__" and (asked_for := main(int(sys.argv[1]))):
    be_the_command(**asked_for)
