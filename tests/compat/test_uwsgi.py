"""A project that uses what uWSGI documents, on real uWSGI and on dbqueue.

uWSGI is compiled into an environment of its own, which stays for the next time.
"""

import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.conf import settings

from dbqueue.models import FinishedJob
from tests import tasks
from tests.support.processes import (
    MANAGE,
    ROOT,
    on_demand,
    wait_until,
    wait_until_finished,
)
from tests.worker.test_runserver import gone, the_worker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), on_demand]

GUIDE = (ROOT / "docs" / "how-to" / "from-uwsgi-spooler.md").read_text()
ATTACHED = "attach-daemon = exec %(virtualenv)/bin/python {worker}"
PROJECT = ROOT / "tests" / "compat" / "uwsgi_project"
VERSION = "2.0.31"
HOME = Path(tempfile.gettempdir()) / f"dbqueue-uwsgi-{platform.python_version()}"
CALL = "import django; django.setup(); from shop import tasks; tasks.{}()"
# What both sides note, whatever the order; `answers()` makes them comparable.
COMPARED = (
    *("plain", "passing", "body", "elsewhere", "asks", "signalled", "on_mule"),
    *("locked", "in_thread", "name", "jobs", "task", "nothing", "ordered"),
)


def built():
    """Return uWSGI's program; skip the test where there is no way to have one."""
    program = HOME / "bin" / "uwsgi"
    if not program.exists():
        if not (shutil.which("gcc") or shutil.which("cc")):
            pytest.skip("REAL uWSGI IS NOT TESTED: there is no C compiler")
        subprocess.run([sys.executable, "-m", "venv", HOME], check=True)
        pip = [HOME / "bin" / "pip", "install", "-q", f"uwsgi=={VERSION}"]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"REAL uWSGI IS NOT TESTED: {done.stderr[-500:]}")
    return program


class Side:
    """One run of the project: its notes, and how its functions are called."""

    def __init__(self, folder, call):
        self.notes, self.call = folder / "notes", call

    def of(self, key):
        """Return the moments and the values that were noted under a key."""
        if not self.notes.exists():
            return []
        lines = self.notes.read_text().split("\n")[:-1]
        found = [json.loads(line) for line in lines]
        return [(at, values) for name, at, _, *values in found if name == key]

    def values(self, key):
        return [values for _, values in self.of(key)]

    def wait_for(self, key, times=1):
        wait_until(lambda: len(self.of(key)) >= times, f"{key} x {times}", 150)


def environment(side, folder):
    return {
        "SIDE": side,
        "NOTES": str(folder / "notes"),
        "OTHER": str(folder / "other"),
    }


@contextmanager
def on_uwsgi(folder):
    """Serve the project by uWSGI, with two spoolers and a mule."""
    program = built()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        *(program, "--master", "--http-socket", address, "--module", "shop.tasks"),
        *("--spooler", folder / "main", "--spooler", folder / "other", "--need-app"),
        *("--spooler-frequency", "1", "--spooler-ordered", "--mule", "--die-on-term"),
        *("--enable-threads", "--pythonpath", PROJECT),
    ]
    for name in ("main", "other"):
        (folder / name).mkdir()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, **environment("uwsgi", folder)},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield Side(folder, lambda name: asked(f"http://{address}/{name}", process))
        finally:
            process.kill()
            print((folder / "log").read_text()[-20_000:])


def asked(url, process):
    def answer():
        assert process.poll() is None
        try:
            return urlopen(url, timeout=60).read() == b"done"
        except OSError as error:  # it has not begun to listen
            if "refused" in str(error):
                return False
            raise

    wait_until(answer, f"{url} is answered")


@pytest.fixture
def on_dbqueue(run_worker, database_address, tmp_path, witness):
    """Return a function that starts a worker of the project on dbqueue."""
    witness.looks_away = True
    defaults = {"app:shop": {"max_attempts": 3, "backoff": 1}}
    given = {
        "INSTALLED_APPS": [*settings.INSTALLED_APPS, "shop"],
        "TASKS": {
            "default": {
                "BACKEND": "dbqueue.backend.DatabaseBackend",
                "QUEUES": [],
                "OPTIONS": {"defaults": defaults},
            }
        },
        # One spooler of one process each; what waits, does not wait for a scan.
        "DBQUEUE": {
            "QUEUES": {name: {"concurrency": 1} for name in ("default", "other")},
            "COMPAT": {"SPOOLER_FREQUENCY": 600},
        },
    }

    def begin():
        folder = tmp_path / "dbqueue"
        folder.mkdir()
        paths = os.pathsep.join([str(PROJECT), *filter(None, sys.path)])
        more = {**environment("dbqueue", folder), "PYTHONPATH": paths}
        worker = run_worker(settings=given, **more)
        worker.wait_until_working()

        def call(name):
            environ = dict(
                item.split("=", 1)
                for item in Path(f"/proc/{worker.pid}/environ").read_text().split("\0")
                if "=" in item
            )
            code = CALL.format(name)
            subprocess.run([sys.executable, "-c", code], env=environ, check=True)

        return Side(folder, call)

    return begin


def answers(side):
    """Return what the project's functions were given, and what calls answered."""
    side.call("begin")
    side.wait_for("three_times", 3)
    side.wait_for("forever", 2)
    for key in ("later", "elsewhere", "on_mule", "in_thread", "asks", "signalled"):
        side.wait_for(key)
    side.wait_for("plain", 3)
    side.wait_for("passing", 2)
    for key in ("tick", "rbtick", "minutely", "forked"):
        side.wait_for(key, 1)
    side.call("order")
    side.wait_for("ordered", 3)
    found = {key: sorted(map(str, side.values(key))) for key in COMPARED}
    found["ordered"] = side.values("ordered")
    found["later"] = all(at >= float(v[0]) for at, v in side.of("later"))
    names = [values[0] for values in side.values("three_times")]
    found["three_times"] = (len(names), len(set(names)))
    for key in ("tick", "rbtick", "minutely"):
        found[key] = all(values == [True] for values in side.values(key))
    return found


def test_the_answers_are_the_same(tmp_path, on_dbqueue):
    ours = answers(on_dbqueue())
    folder = tmp_path / "uwsgi"
    folder.mkdir()
    with on_uwsgi(folder) as side:
        theirs = answers(side)

    for key in ours:
        assert (key, ours[key]) == (key, theirs[key])


def test_what_is_better_than_on_uwsgi(tmp_path, on_dbqueue):
    ours = on_dbqueue()
    ours.call("repairs")
    ours.call("poison")
    failed = FinishedJob.objects.filter(state="FAILED", task__startswith="shop.tasks.")
    names = {"failing", "ignoring", "limited"}
    wait_until(lambda: failed.count() == len(names), "three have failed")
    ours.wait_for("after_poison")
    folder = tmp_path / "uwsgi"
    folder.mkdir()
    with on_uwsgi(folder) as theirs:
        theirs.call("repairs")
        for key in ("failing", "ignoring"):
            theirs.wait_for(key, 5)  # and so on
        theirs.wait_for("of_two", 2)
        theirs.call("poison")
        theirs.wait_for("limited", 3)

    # Attempts are bounded.
    assert [len(ours.of(key)) for key in ("failing", "ignoring", "limited")] == [3] * 3
    assert {job.task.rpartition(".")[2] for job in failed} == names
    # Values are whole.
    assert (ours.values("long_value"), theirs.values("long_value")) == (
        [[70_000]],
        [[70_000 % 65_536]],
    )
    # Bytes arrive that are no text.
    assert (ours.values("with_bytes"), theirs.values("with_bytes")) == ([[True]], [])
    # Each function is itself.
    assert ours.values("of_two") == [["tasks", "1"], ["twin", "2"]]
    assert len({where for where, _ in theirs.values("of_two")}) == 1
    # What follows starts as soon as what is before has ended, in order.
    ((_, _), (ended, _)) = ours.of("blocks")
    ((began, _),) = ours.of("follows")
    assert 0 <= began - ended < 60  # and not after a scan, each 600 s
    # Poison keeps nobody waiting.
    limited = [at for at, _ in ours.of("limited")]
    ((after, _),) = ours.of("after_poison")
    assert limited[0] < after < limited[-1]
    later = [at for at, _ in theirs.of("after_poison")]
    assert not later or later[0] > theirs.of("limited")[1][0]


@pytest.fixture
def beside_uwsgi(tmp_path, database_address, witness):
    """Return a function that starts uWSGI with a worker, by the line of the guides."""
    witness.looks_away = True
    started = []

    def begin():
        program, log = built(), tmp_path / "log"
        worker = f"exec {sys.executable} {MANAGE} runworker --no-reload"
        assert ATTACHED.format(worker="manage.py runworker --no-reload") in GUIDE
        command = [program, "--master", "--die-on-term", "--socket", tmp_path / "sock"]
        command += ["--attach-daemon", worker, "--reload-mercy", "60"]
        environ = {
            **os.environ,
            "DATABASE_URL": database_address,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }
        with log.open("w") as output:
            words = list(map(str, command))
            process = subprocess.Popen(
                words, env=environ, stdout=output, stderr=output, process_group=0
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print((tmp_path / "log").read_text()[-20_000:])


def test_attach_daemon_runs_a_worker_that_ends_with_uwsgi(beside_uwsgi):
    server = beside_uwsgi()
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3
    worker = the_worker()

    server.terminate()

    assert server.wait(120) == 0
    wait_until(lambda: gone(worker), "the worker has ended")


def test_attach_daemon_starts_a_worker_again_that_was_killed(beside_uwsgi):
    beside_uwsgi()
    first = the_worker()

    os.kill(first, signal.SIGKILL)

    the_worker(other_than=first)
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3


def test_attach_daemon_replaces_the_worker_when_uwsgi_reloads(beside_uwsgi):
    server = beside_uwsgi()
    first = the_worker()

    server.send_signal(signal.SIGHUP)

    the_worker(other_than=first)
    wait_until(lambda: gone(first), "the worker of before has ended")
    assert wait_until_finished(tasks.add.enqueue(1, 2)).result == 3


def test_attach_daemon_leaves_no_worker_when_uwsgi_is_killed(beside_uwsgi):
    server = beside_uwsgi()
    worker = the_worker()

    server.kill()

    wait_until(lambda: gone(worker), "the worker has ended")
