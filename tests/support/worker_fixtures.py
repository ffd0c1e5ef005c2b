"""Fixtures that start worker processes; test modules name it in `pytest_plugins`."""

import sys
import time
from uuid import UUID

import pytest
from django.db import connection, transaction

from dbqueue.tasks.framework import task_enqueued
from tests.settings import url
from tests.support import invariants
from tests.support.nursery import Nursery
from tests.support.processes import (
    ENQUEUER,
    FAULTS,
    MANAGE,
    ROOT,
    Effects,
    WorkerProcess,
    environment,
)

SPIN = 0.03  # seconds of work that tell how busy the machine is


class Witness:
    """Knows what was committed, and asks in the end whether the invariants hold."""

    def __init__(self, effects):
        self.ids = set()
        self.processes = []
        self._enqueued = set()
        # Keys of jobs that may have run again without a record of the reason.
        self.excused = set()
        # Whether the jobs are elsewhere, or too many.
        self.looks_away = False
        self._effects = effects

    def hear(self, sender, task_result, **kwargs):
        id = UUID(task_result.id)
        self._enqueued.add(id)
        transaction.on_commit(lambda: self.ids.add(id))

    def check(self, **given):
        """Fail unless all invariants hold; see tests.support.invariants."""
        known = {
            "committed": self.ids,
            "rolled_back": self._enqueued - self.ids,
            "effects": self._effects,
            "excused": self.excused,
            "processes": self.processes,
        }
        invariants.check(**known, **given)


@pytest.fixture
def effects(tmp_path):
    return Effects(tmp_path / "effects")


def busyness():
    """Return how many times as long as alone work takes here now; 1 is at once."""
    wall, own = time.perf_counter(), time.thread_time()
    while time.thread_time() - own < SPIN:
        continue
    return (time.perf_counter() - wall) / (time.thread_time() - own)


@pytest.fixture
def measured(record_property):
    """Return a function that notes a figure for the report of the fault suite.

    `unit` is "s" or the name of what was counted; see tests.faults.report. A promise
    is `at_most`, and the test fails that breaks it, if it was asked for faults. Beside
    other work seconds become longer, and so does then what is allowed.
    """

    def note(what, figure, unit="s", at_most=None):
        limit = "" if at_most is None else at_most
        busy = max(1.0, busyness())
        record_property("measured", f"{what}|{figure}|{unit}|{limit}|{busy:.1f}")
        # Other than this, no test fails because its machine is busy.
        if FAULTS and at_most is not None:
            assert figure <= at_most * (busy if unit == "s" else 1.0), what

    return note


@pytest.fixture
def database_address(transactional_db):
    """Return the DATABASE_URL for a process that works on the test's database."""
    return url(connection.settings_dict)


@pytest.fixture
def witness(database_address, effects):
    """Ask whether all invariants hold, when no process of the test is left."""
    witness = Witness(effects)
    task_enqueued.connect(witness.hear)
    yield witness
    task_enqueued.disconnect(witness.hear)
    if not witness.looks_away:
        witness.check()


@pytest.fixture(scope="session")
def nurseries():
    """Hold the process that forks commands, once there is one."""
    found = []
    yield found
    for nursery in found:
        nursery.close()


@pytest.fixture
def real_start():
    """Have each command started by an interpreter of its own."""


@pytest.fixture
def nursery(request, nurseries, database_address, effects):
    """Return what forks commands, None where they are to be started as in life."""
    if FAULTS or "real_start" in request.fixturenames:
        return None
    if not nurseries:
        common = environment(database_address, effects)
        nurseries.append(Nursery({name: str(value) for name, value in common.items()}))
    return nurseries[0]


@pytest.fixture
def start(database_address, effects, witness, tmp_path, nursery):
    """Return a function that starts a command; all it started is killed at the end."""
    started = []

    def start(
        command, arguments, *, settings=None, database_url=None, logs=tmp_path, **more
    ):
        process = WorkerProcess(
            [*command, *map(str, arguments)],
            environment(database_url or database_address, effects, settings, **more),
            logs / f"process-{len(started)}.log",
            nursery,
        )
        started.append(process)
        witness.processes.append(process)
        return process

    yield start
    for process in started:
        process.kill_all()
        print(f"--- {process.log.name}\n{process.output}")


@pytest.fixture
def run_worker(start):
    """Return a function that starts `runworker` with the arguments.

    `DBQUEUE` in `settings` goes on top of QUICK, `logs` is the folder of what it
    prints; other keywords are environment.
    """

    def run(*arguments, **how):
        return start([sys.executable, MANAGE, "runworker"], arguments, **how)

    return run


@pytest.fixture
def run_enqueuer(start):
    """Return a function that starts a process which enqueues notes, one by one."""

    def run(prefix, count):
        return start([sys.executable, "-c", ENQUEUER], [prefix, count], PYTHONPATH=ROOT)

    return run
