"""Fixtures that start worker processes; test modules name it in `pytest_plugins`."""

import sys

import pytest
from django.db import connection

from tests.processes import (
    ENQUEUER,
    MANAGE,
    ROOT,
    Effects,
    WorkerProcess,
    environment,
)
from tests.settings import url


@pytest.fixture
def effects(tmp_path):
    return Effects(tmp_path / "effects")


@pytest.fixture
def measured(record_property):
    """Return a function that notes a figure for the report of the fault suite.

    `unit` is "s" or the name of what was counted; see tests.faults.report.
    """

    def note(what, figure, unit="s"):
        record_property("measured", f"{what}|{figure}|{unit}")

    return note


@pytest.fixture
def database_address(transactional_db):
    """Return the DATABASE_URL for a process that works on the test's database."""
    return url(connection.settings_dict)


@pytest.fixture
def start(database_address, effects, tmp_path):
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
