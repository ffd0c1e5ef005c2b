"""On SQLite, a file that was replaced or removed, as by a restore, is noticed."""

import os
import sqlite3
from contextlib import closing

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from dbqueue import enqueue
from tests.support import worker_tasks as tasks
from tests.support.processes import SHORT, wait_until_finished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_sqlite"),
]


@pytest.fixture
def path():
    return connection.settings_dict["NAME"]


def copy(path):
    """Make a copy of the database beside it, and leave the database to others."""
    connection.close()
    copied = f"{path}.copy"
    with closing(sqlite3.connect(path)) as source:
        source.execute("VACUUM INTO ?", [copied])
    return copied


def remove(path):
    for ending in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(path + ending):
            os.unlink(path + ending)


@pytest.mark.parametrize(
    "task",
    [tasks.describe_surroundings, tasks.adescribe_surroundings],
    ids=["sync", "async"],
)
def test_a_worker_goes_on_with_the_file_that_replaces_another(
    task, path, run_worker, effects
):
    worker = run_worker("--threads", 1, settings=SHORT)
    wait_until_finished(enqueue(task, "before"))
    (pid,) = worker.children()
    copied = copy(path)
    for ending in ("-wal", "-shm"):
        if os.path.exists(path + ending):
            os.unlink(path + ending)
    os.rename(copied, path)

    wait_until_finished(enqueue(task, "after"))

    assert Group.objects.filter(name="after").exists()
    worker.wait_for_output("was replaced; going on with the new one")
    assert effects.pids() == {pid}
    assert worker.children() == [pid]


def test_a_worker_waits_for_a_file_that_was_removed(path, run_worker, effects):
    worker = run_worker("--threads", 1, settings=SHORT)
    wait_until_finished(enqueue(tasks.describe_surroundings, "before"))
    copied = copy(path)
    remove(path)

    worker.wait_for_output("is gone. Put one in its place.")
    assert not os.path.exists(path)
    os.rename(copied, path)

    wait_until_finished(enqueue(tasks.describe_surroundings, "after"))
    assert Group.objects.filter(name="after").exists()
