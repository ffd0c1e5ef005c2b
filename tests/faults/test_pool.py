"""Jobs take all connections of psycopg's pool, and the worker's loop lives on."""

import re

import pytest
from django.db import connection

from tests.support import worker_tasks as tasks
from tests.support.processes import finished, unfinished, wait_until, wait_until_empty

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_postgres"),
]

# One is the loop's; a job may wait two seconds for one of the others.
POOL = {"DATABASE_POOL": {"min_size": 1, "max_size": 3, "timeout": 2.0}}
THREADS = 6
# What the loop of a child says, and no job.
OF_THE_LOOP = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ~ 'queue_name'
AND query !~ 'run_after'"""


@pytest.fixture
def exhausted(run_worker, jobs, effects, tmp_path):
    """Return a worker whose jobs hold all connections, and what lets them go."""
    pytest.importorskip("psycopg_pool")
    leave = tmp_path / "leave"
    jobs.many(tasks.hold_connection, [(i, str(leave)) for i in range(THREADS)])
    worker = run_worker("--threads", THREADS, settings=POOL)
    effects.wait_for("began", times=2)
    # The others have waited in vain, and that is on record.
    wait_until(lambda: unfinished(failures__gt=0).exists(), "some had none")
    return worker, leave


def test_jobs_that_find_no_connection_in_the_pool_are_retried_and_no_worker_dies(
    exhausted, jobs, effects
):
    worker, leave = exhausted
    (pid,) = effects.pids("began")
    jobs.many(tasks.note, [(f"needs none {i}",) for i in range(20)])

    effects.wait_for("ended", times=20)
    assert not finished(task=tasks.hold_connection.module_path).exists()
    leave.touch()

    jobs.drained(worker)
    assert finished(state="SUCCESSFUL").count() == THREADS + 20
    assert effects.counts()[0] == 1
    assert effects.pids("ended") == {pid}
    assert "abandons" not in worker.output


def test_a_loop_that_loses_its_connection_while_jobs_hold_all_others_comes_back(
    exhausted, jobs, effects
):
    worker, leave = exhausted

    def taken():
        """Another job takes the place in the pool at once."""
        with connection.cursor() as cursor:
            cursor.execute(OF_THE_LOOP)
        return len(effects.all("began")) == 3

    wait_until(taken, "a job has the loop's connection")
    # It waits for one as jobs do, and in vain.
    wait_until(
        lambda: re.search("Database trouble.*get a connection", worker.output),
        "the loop has none",
    )
    (pid,) = effects.pids("began")
    leave.touch()

    wait_until_empty(worker)

    jobs.drained(worker)
    assert finished(state="SUCCESSFUL").count() == THREADS
    assert effects.pids("ended") == {pid}
    assert "abandons" not in worker.output
