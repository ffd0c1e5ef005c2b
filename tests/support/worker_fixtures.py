"""Fixtures that start worker processes; test modules name it in `pytest_plugins`."""

import sys
from uuid import UUID

import pytest
from django.db import connection, transaction

from dbqueue.tasks.framework import task_enqueued
from tests.settings import url
from tests.support import invariants
from tests.support.processes import (
    ENQUEUER,
    FAULTS,
    MANAGE,
    ROOT,
    Effects,
    WorkerProcess,
    environment,
)


class Witness:
    """Knows what was committed, and asks in the end whether the invariants hold."""

    def __init__(self, effects):
        self.ids = set()
        # Keys of jobs that may have run again without a record of the reason.
        self.excused = set()
        # Whether the jobs are elsewhere, or too many.
        self.looks_away = False
        self._effects = effects

    def hear(self, sender, task_result, **kwargs):
        transaction.on_commit(lambda: self.ids.add(UUID(task_result.id)))

    def check(self, **given):
        """Fail unless all invariants hold; see tests.support.invariants."""
        invariants.check(
            committed=self.ids, effects=self._effects, excused=self.excused, **given
        )


@pytest.fixture
def effects(tmp_path):
    return Effects(tmp_path / "effects")


@pytest.fixture
def measured(record_property):
    """Return a function that notes a figure for the report of the fault suite.

    `unit` is "s" or the name of what was counted; see tests.faults.report. A promise
    is `at_most`, and the test fails that breaks it, if it was asked for faults.
    """

    def note(what, figure, unit="s", at_most=None):
        limit = "" if at_most is None else at_most
        record_property("measured", f"{what}|{figure}|{unit}|{limit}")
        # Other than this, no test fails because its machine is busy.
        if FAULTS and at_most is not None:
            assert figure <= at_most, what

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


@pytest.fixture
def start(database_address, effects, witness, tmp_path):
    """Return a function that starts a command; all it started is killed at the end."""
    started = []

    def start(command, arguments, *, settings=None, database_url=None, **more):
        process = WorkerProcess(
            [*command, *map(str, arguments)],
            environment(database_url or database_address, effects, settings, **more),
            tmp_path / f"process-{len(started)}.log",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill_all()
        print(f"--- {process.log.name}\n{process.output}")


@pytest.fixture
def run_worker(start):
    """Return a function that starts `runworker` with the arguments.

    `DBQUEUE` in `settings` goes on top of QUICK; other keywords are environment.
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
