"""Real processes for tests: workers, what they did, and what to wait for.

Nothing here sleeps to wait for an outcome: it asks until the answer is there, or fails
at a deadline with what the worker said.
"""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from dbqueue import conf
from dbqueue.models import FinishedJob, Job, Worker

ROOT = Path(__file__).parent.parent.parent
MANAGE = ROOT / "tests" / "manage.py"
# How many times the quick size of a test; 10 and more is what an issue asks for.
SCALE = float(os.environ.get("DBQUEUE_TEST_SCALE", "1"))
# Variations of what another test shows; a plain run stays short without them.
thorough = pytest.mark.skipif(
    SCALE < 10, reason="for a thorough run set DBQUEUE_TEST_SCALE=10"
)
# The fault suite as a whole: it takes longer, or wants a machine that is not busy.
FAULTS = SCALE >= 10 or bool(os.environ.get("DBQUEUE_TEST_FAULTS"))
on_demand = pytest.mark.skipif(
    not FAULTS, reason="for all faults set DBQUEUE_TEST_FAULTS=1"
)
# What is the same on every database: a plain run does it on one.
once = pytest.mark.skipif(
    not FAULTS and connection.vendor != "sqlite",
    reason="the same on every database: a plain run does it on SQLite",
)
# Seconds until a condition counts as never coming true. Mutants have less of it.
PATIENCE = float(os.environ.get("DBQUEUE_TEST_PATIENCE", "60"))
NEVER = 600.0  # seconds: what would take so long is not what a test waited for

# Short looks, but a lease that no busy machine lets run out by accident.
QUICK = {"LEASE": 20.0, "POLL_INTERVAL": 0.2, "GRACE": 10.0}
# A lease for tests that wait until it is over, and live with it if one more runs out.
SHORT = {"DBQUEUE": {"LEASE": 3.0}}


ENQUEUER = """
import sys
import django
django.setup()
from dbqueue import enqueue
from tests.support.worker_tasks import note
for i in range(int(sys.argv[2])):
    enqueue(note, f"{sys.argv[1]}{i}")
"""


def scaled(quick, full):
    """Return how many jobs a test takes: `full` at scale 10."""
    return min(full, max(1, int(quick * SCALE)))


def wait_until(condition, what, seconds=PATIENCE):
    """Ask until the condition is true; return its answer."""
    began = time.monotonic()
    while not (answer := condition()):
        waited = time.monotonic() - began
        if waited > seconds:
            pytest.fail(f"Waited {seconds} s in vain until {what}")
        # Others have work to do: what takes long is asked for less often.
        time.sleep(min(0.05, 0.01 + waited / 50))
    return answer


class Effects:
    """What jobs left outside the database, in the order they did it."""

    def __init__(self, path):
        self.path = path
        self._read = 0
        self._lines = []

    def all(self, event=None, key=None):
        self._catch_up()
        return [
            line
            for line in self._lines
            if event in (None, line["event"]) and key in (None, line["key"])
        ]

    def keys(self, event="ended"):
        return [line["key"] for line in self.all(event)]

    def counts(self, event="ended"):
        return Counter(self.keys(event))

    def pids(self, event="ended"):
        return {line["pid"] for line in self.all(event)}

    def wait_for(self, event, key=None, times=1, seconds=PATIENCE):
        """Return the lines once there are so many."""

        def enough():
            lines = self.all(event, key)
            return lines if len(lines) >= times else None

        what = f"{event} {key} x {times}"
        return wait_until(enough, what, seconds)

    def _catch_up(self):
        if not self.path.exists():
            return
        with self.path.open() as file:
            file.seek(self._read)
            while (line := file.readline()).endswith("\n"):
                self._lines.append(json.loads(line))
                self._read = file.tell()


class WorkerProcess:
    """A command, mostly `runworker`, and all below it: a session of its own.

    A `nursery` forks it, if there is one and it can.
    """

    def __init__(self, command, environment, log, nursery=None):
        self.log = log
        self._began, self._ended = time.monotonic(), None
        self._arguments = [str(word) for word in command]
        environment = {name: str(value) for name, value in environment.items()}
        if nursery and nursery.takes(self._arguments, environment):
            self.process = nursery.fork(self._arguments, environment, log)
            return
        with log.open("w") as output:
            self.process = subprocess.Popen(
                self._arguments,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        return self.log.read_text()

    @property
    def is_verbose(self):
        return self._argument("-v", 1) > 1

    def age(self):
        """Return the seconds that it has run, or had when it was killed."""
        return (self._ended or time.monotonic()) - self._began

    def most_connections(self):
        """Return how many connections it may have to the database of its jobs."""
        if self.process.poll() is not None or "runworker" not in self._arguments:
            return 1 if self.process.poll() is None else 0
        each = self._argument("--threads", conf.current().threads) + 2
        return 2 + each * self._argument("--processes", 1)

    def _argument(self, name, default):
        if name not in self._arguments:
            return default
        return int(self._arguments[self._arguments.index(name) + 1])

    def family(self):
        """Return the pids of the whole session that are alive."""
        return {entry.pid for entry in session(self.pid)}

    def below(self):
        """Return the pids of the processes that the supervisor started."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except OSError:  # it has ended
            return set()
        return {pid for pid in map(int, listed.split()) if is_in(self.pid, pid)}

    def children(self):
        """Return the pids of the children that run jobs, by the database's word."""
        known = set(Worker.objects.values_list("pid", flat=True))
        return sorted(known & self.below())

    def keeper(self):
        """Return the pid of the keeper: the one below that is no worker."""
        registered = set(Worker.objects.values_list("pid", flat=True))
        others = self.below() - registered
        return others.pop() if len(others) == 1 else None

    def wait_until_working(self, processes=1):
        """Wait until all children are registered; return their pids."""
        return wait_until(
            lambda: len(self.children()) == processes and self.children(),
            f"{processes} children are registered\n{self.output}",
        )

    def wait_for_output(self, text, seconds=PATIENCE):
        wait_until(lambda: text in self.output, f"it says {text!r}", seconds)

    def tell(self, number):
        self.process.send_signal(number)

    def tell_all(self, number):
        for pid in self.family():
            send(pid, number)

    def freeze(self):
        """Stop all of it by SIGSTOP, the supervisor first: it replaces a keeper."""
        for pid in [self.pid, *self.family()]:
            send(pid, signal.SIGSTOP)
            wait_until(lambda pid=pid: is_stopped(pid), f"{pid} is stopped")

    def stop(self, number=signal.SIGTERM):
        self.tell(number)
        return self.wait()

    def wait(self, seconds=PATIENCE):
        """Wait for the end; return the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"Did not end within {seconds} s:\n{self.output}")

    def wait_until_gone(self, seconds=PATIENCE):
        """Wait until no process of the session is left."""
        self.process.poll()
        wait_until(lambda: not self.family(), "all processes are gone", seconds)

    def kill_all(self):
        """Leave nothing behind, whatever happened: also what it is forking now."""
        while family := self.family():
            for pid in family:
                send(pid, signal.SIGKILL)
            self.process.poll()
        self.process.wait(PATIENCE)
        self._ended = self._ended or time.monotonic()


class ProcessEntry:
    def __init__(self, pid):
        stat = (Path("/proc") / str(pid) / "stat").read_text()
        fields = stat.rpartition(")")[2].split()
        self.pid = pid
        self.state = fields[0]


def session(leader):
    """Return what runs in a session; a zombie does not."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [entry for pid in pids if (entry := is_in(leader, pid))]


def is_in(leader, pid):
    """Return what the process is if it runs in the session, else None."""
    # It may end between any two of these questions.
    with suppress(OSError):
        if os.getsid(pid) == leader:
            entry = ProcessEntry(pid)
            return None if entry.state in "ZX" else entry
    return None


def is_stopped(pid):
    """Tell whether all its threads stand still; those of one that ended do, too."""
    try:
        stats = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return True
    return all(stat.rpartition(")")[2].split()[0] in "TZX" for stat in stats)


def send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def environment(database_url, effects, settings=None, **more):
    """Return the environment for a process on the test's database."""
    values = {"DBQUEUE": QUICK}
    for name, value in (settings or {}).items():
        values[name] = {**QUICK, **value} if name == "DBQUEUE" else value
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DBQUEUE")}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "tests.support.worker_settings",
        "DATABASE_URL": database_url,
        "DBQUEUE_TEST_EFFECTS": str(effects.path),
        "DBQUEUE_TEST_SETTINGS": json.dumps(values),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def finished(**conditions):
    return FinishedJob.objects.filter(**conditions)


def unfinished(**conditions):
    return Job.objects.filter(**conditions)


def wait_until_empty(worker=None, seconds=PATIENCE):
    """Wait until no job is left."""
    wait_until(
        lambda: not unfinished().exists(),
        f"no job is left\n{worker.output if worker else ''}",
        seconds,
    )


def wait_until_finished(result, seconds=PATIENCE):
    """Return the job's record in the history."""
    return wait_until(lambda: finished(pk=result.id).first(), "it finished", seconds)


def reasons(job):
    """Return why the attempts of the job ended that did not succeed."""
    return [entry["reason"] for entry in job.attempt_log]
