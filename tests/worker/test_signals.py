"""Signals, terminals and standard streams: the worker's, and what its jobs inherit."""

import os
import pty
import select
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from dbqueue import enqueue
from dbqueue.worker.process.pipes import WakePipe, wait
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    MANAGE,
    NEVER,
    PATIENCE,
    ROOT,
    environment,
    finished,
    once,
    send,
    session,
    thorough,
    unfinished,
    wait_until,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("real_start"),
]


# What jobs start


@once
def test_what_jobs_start_hears_the_signals_that_it_would_hear_elsewhere(run_worker):
    jobs = {
        enqueue(task, f"{task.name} {number}", number).id: -number
        for task in (tasks.stop_program, tasks.astop_program)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    }
    for method in ("fork", "spawn"):
        stopped = enqueue(tasks.stop_process, f"process {method}", method)
        left = enqueue(tasks.leave_busy_pool, f"pool {method}", method)
        jobs |= {stopped.id: -signal.SIGTERM, left.id: None}

    assert run_worker("--drain").wait() == 0

    results = {str(job.id): job.result for job in finished(state="SUCCESSFUL")}
    assert results == jobs


# Hanging up


@once
def test_a_hangup_of_the_group_lets_jobs_end_and_never_means_now(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "running", str(leave))
    worker = run_worker("--grace", NEVER)
    effects.wait_for("began", "running")

    os.killpg(worker.pid, signal.SIGHUP)
    worker.wait_for_output("Stopping")
    os.killpg(worker.pid, signal.SIGHUP)

    leave.touch()
    assert worker.wait() == 0
    assert finished().get().attempt == 1
    assert worker.output.count("Stopping") == 1


@once
def test_under_nohup_a_hangup_changes_nothing(start, effects):
    worker = start(["nohup", sys.executable, MANAGE, "runworker"], [])
    worker.wait_until_working()

    worker.tell_all(signal.SIGHUP)

    enqueue(tasks.note, "after")
    effects.wait_for("ended", "after")
    assert "Stopping" not in worker.output
    assert worker.stop() == 0


@once
def test_a_hangup_restarts_in_place_if_that_is_asked_for(run_worker, effects):
    worker = run_worker("--hup", "restart")
    (before,) = worker.wait_until_working()

    worker.tell(signal.SIGHUP)

    wait_until(lambda: worker.children() not in ([], [before]), "another child works")
    assert worker.output.count("Stop with Ctrl-C") == 2
    assert worker.process.poll() is None
    assert worker.stop() == 0


# Terminals


LED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Terminal:
    """A worker on a terminal of its own, and what it shows there."""

    def __init__(self, environment, *arguments):
        self.shown = b""
        self._terminal, side = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LED, MANAGE, "runworker", *map(str, arguments)],
            env={name: str(value) for name, value in environment.items()},
            stdin=side,
            stdout=side,
            stderr=side,
            start_new_session=True,
        )
        os.close(side)

    def type(self, text):
        os.write(self._terminal, text)

    def wait_for(self, text):
        wait_until(lambda: self._read() or text in self.shown, f"{text}: {self}")

    def wait(self):
        """Wait for the end; return the exit code."""

        def has_ended():
            self._read()
            return self._process.poll() is not None

        wait_until(has_ended, f"it ends: {self}")
        return self._process.returncode

    def close(self):
        while pids := [entry.pid for entry in session(self._process.pid)]:
            for pid in pids:
                send(pid, signal.SIGKILL)
            self._process.poll()
        self._process.wait(PATIENCE)
        os.close(self._terminal)
        print(self)

    def _read(self):
        if select.select([self._terminal], [], [], 0.01)[0]:
            with suppress(OSError):  # nobody is at its other end
                self.shown += os.read(self._terminal, 65536)

    def __str__(self):
        return self.shown.decode(errors="replace")


@pytest.fixture
def on_terminal(database_address, effects, witness):
    """Return a function that starts a worker on a terminal."""
    started = []

    def run(*arguments, **settings):
        variables = environment(database_address, effects, settings)
        started.append(Terminal(variables, *arguments))
        return started[-1]

    yield run
    for terminal in started:
        terminal.close()


@once
@pytest.mark.parametrize(
    "arguments", [["--no-reload"], pytest.param(["--reload"], marks=thorough)]
)
def test_a_job_may_stop_in_the_debugger_and_ctrl_c_ends_the_worker(
    arguments, on_terminal
):
    job = enqueue(tasks.stop_in_debugger, "debugged")
    terminal = on_terminal(*arguments)
    terminal.wait_for(b"(Pdb)")
    terminal.type(b"c\n")
    record = wait_until_finished(job)

    terminal.type(b"\x03")

    assert terminal.wait() == 0
    assert (record.state, record.attempt) == ("SUCCESSFUL", 1)


@once
def test_ctrl_c_lets_running_jobs_end(on_terminal, effects, tmp_path):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "running", str(leave))
    terminal = on_terminal("--no-reload", "--grace", NEVER)
    effects.wait_for("began", "running")

    terminal.type(b"\x03")

    terminal.wait_for(b"Stopping")
    leave.touch()
    assert terminal.wait() == 0
    assert finished().get().attempt == 1


# Standard streams


@once
@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_break_nothing(closed, start, effects):
    for i in range(3):
        enqueue(tasks.note, i)
    command = [sys.executable, MANAGE, "runworker", "--drain", "--max-jobs", "1"]
    worker = start(["sh", "-c", f'exec "$@" {closed}', "sh"], command)

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys(range(3), 1)
    assert "Traceback" not in worker.output
    assert "starting another" not in worker.output


REDIRECTED = """
import contextlib, sys
import django
django.setup()
from django.core.management import call_command
class Proxy:  # as some libraries put one in the place of both
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        self.stream.write(text)
    def flush(self):
        pass
    def fileno(self):
        return None
with contextlib.redirect_stderr(Proxy(sys.stderr)):
    with contextlib.redirect_stdout(Proxy(sys.stdout)):
        call_command("runworker", drain=True)
"""


@once
def test_streams_that_are_no_files_break_nothing(start, effects):
    enqueue(tasks.note, "job")
    worker = start([sys.executable, "-c", REDIRECTED], [], PYTHONPATH=ROOT)

    assert worker.wait() == 0

    assert effects.keys() == ["job"]
    assert "starting another" not in worker.output
    assert "Traceback" not in worker.output


# What it cannot do


STILLBORN = """
import os, sys
import django
django.setup()
from django.core.management import call_command
def {how}
os.register_at_fork(after_in_child=die)
call_command("runworker")
"""


@once
@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("die(): os._exit(7)", "exit code 7"),
        pytest.param("die(): os.kill(os.getpid(), 9)", "SIGKILL", marks=thorough),
    ],
)
def test_a_worker_whose_processes_die_at_once_gives_up_and_says_why(how, cause, start):
    job = enqueue(tasks.note, "job")
    script = STILLBORN.format(how=how)
    worker = start([sys.executable, "-c", script], [], PYTHONPATH=ROOT)

    assert worker.wait() == 1

    assert "5 times in a row" in worker.output
    reason, stopped = worker.output.splitlines()[-2:]
    assert cause in reason
    assert "Stopped" in stopped
    assert "Traceback" not in worker.output
    assert unfinished(pk=job.id, state="READY").exists()


@once
def test_a_tasks_module_that_exits_is_named(start, tmp_path):
    app = tmp_path / "leaving"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "tasks.py").write_text("import leaving.deeper\n")
    (app / "deeper.py").write_text("exit()\n")
    (tmp_path / "leaving_settings.py").write_text(
        "from tests.support.worker_settings import *\n"
        'INSTALLED_APPS = [*INSTALLED_APPS, "leaving"]\n'
    )
    worker = start(
        [sys.executable, MANAGE, "runworker"],
        [],
        PYTHONPATH=f"{tmp_path}:{ROOT}",
        DJANGO_SETTINGS_MODULE="leaving_settings",
    )

    assert worker.wait() == 1

    assert "leaving.tasks and from it leaving.deeper" in worker.output
    assert "Traceback" not in worker.output


THREADED = """
import sys, threading
import django
django.setup()
from django.core.management import execute_from_command_line
threading.Thread(target=threading.Event().wait, name="pump", daemon=True).start()
execute_from_command_line(["manage.py", "runworker", "--drain"])
"""


@once
def test_a_thread_that_an_import_started_is_named(start):
    worker = start([sys.executable, "-c", THREADED], [], PYTHONPATH=ROOT)

    assert worker.wait() == 0

    assert worker.output.count("Thread 'pump' of threading was started") == 1


@once
def test_more_processes_than_files_are_refused(start):
    shell = ["sh", "-c", 'ulimit -n 256; exec "$@"', "sh", sys.executable, MANAGE]
    worker = start(shell, ["runworker", "--processes", "300"])

    assert worker.wait() == 1

    assert "300 processes need 1404 open files, and the system allows 256" in (
        worker.output
    )


@once
def test_pipes_of_any_number_can_be_waited_for():
    pipe, others = WakePipe(), [WakePipe() for _ in range(3)]
    high = os.dup2(pipe.reader, 1100)

    quiet = wait([high, *others], 0.0)
    pipe.wake()
    others[1].wake()
    ready = wait([high, *others], PATIENCE)

    assert quiet == []
    assert set(ready) == {high, others[1]}
    for each in (pipe, *others):
        each.close()
    os.close(high)


# Whoever calls it


CALLED = """
import os, signal, threading, logging
import django
django.setup()
from django.core.management import call_command
from django.db import connection
numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD]
connection.ensure_connection()
def describe():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return (
        [signal.getsignal(number) for number in numbers],
        signal.pthread_sigmask(signal.SIG_BLOCK, []),
        descriptor,
        connection.settings_dict["OPTIONS"],
        connection.connection is not None and connection.vendor,
        connection.is_usable(),
        logging.getLogger("dbqueue").handlers,
        len(os.listdir("/proc/self/fd")),
    )
raw = connection.connection
before = repr(describe())
own = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], os.environ)
try:
    call_command("runworker", drain=True)
except SystemExit as error:
    print("exit code", error.code)
print("kept" if repr(describe()) == before else f"{before} became {describe()}")
print("status", os.waitstatus_to_exitcode(os.waitpid(own, 0)[1]))
if connection.vendor == "postgresql":
    assert connection.connection is raw
"""


def test_call_command_leaves_the_caller_as_it_was(start, effects):
    enqueue(tasks.note, "job")
    worker = start([sys.executable, "-c", CALLED], [], PYTHONPATH=ROOT)

    assert worker.wait() == 0

    assert worker.output.splitlines()[-3:] == ["exit code 0", "kept", "status 7"]
    assert effects.keys() == ["job"]


INSIDE = """
import django
django.setup()
from django.core.management import CommandError, call_command
from django.db import transaction
with transaction.atomic():
    try:
        call_command("runworker", drain=True)
    except CommandError as error:
        print(error)
"""


def test_call_command_inside_a_transaction_is_refused(start):
    worker = start([sys.executable, "-c", INSIDE], [], PYTHONPATH=ROOT)

    assert worker.wait() == 0

    assert "inside a transaction of 'default'" in worker.output


THREAD = """
import threading
import django
django.setup()
from django.core.management import CommandError, call_command
def run():
    try:
        call_command("runworker", drain=True)
    except CommandError as error:
        print(error)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""


def test_call_command_in_a_thread_is_refused(start):
    worker = start([sys.executable, "-c", THREAD], [], PYTHONPATH=ROOT)

    assert worker.wait() == 0

    assert "was called in a thread" in worker.output
    assert "Traceback" not in worker.output
