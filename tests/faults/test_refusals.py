"""Every statement of ours fails as databases let statements fail, and nothing is lost.

The refusals come from the server, so that its transactions fail with them.
"""

import time
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection

from dbqueue.ids import uuid7
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    on_demand,
    scaled,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = {"DBQUEUE": {"LEASE": 30.0}}
# A sixth of the lease is the longest pause of the keeper.
BRISK = {"DBQUEUE": {"LEASE": 6.0}}
SQLSTATES = {
    "serialization failure": "40001",
    "deadlock": "40P01",
    "lock timeout": "55P03",
    "statement timeout": "57014",
    "read-only server": "25006",
    "too many connections": "53300",
    "out of memory": "53200",
    "server going down": "57P01",
    "server starting": "57P03",
    "session idle for too long": "57P05",
    "transaction too long": "25P04",
    "broken file": "58030",
    "disk full": "53100",
    "internal error": "XX000",
}
# Words of the statements that must have been among those refused.
INTERNAL = {
    "claim": "WITH picked AS MATERIALIZED",
    "heads": "max(queue_name)",
    "finish": "WITH gone AS",
    "give back": "SET state = CASE WHEN o.delay",
    "progress": "SET progress = o.note",
    "promote": "WITH due AS MATERIALIZED",
    "next due": "min(run_after)",
    "register": 'INSERT INTO "dbqueue_worker"',
    "heartbeat": 'UPDATE "dbqueue_worker"',
    "condemn": '"expires_at" <',
    "losses": "ORDER BY j.worker_id LIMIT ?",
    "orphans": 'NOT EXISTS(SELECT ? AS "a" FROM "dbqueue_worker"',
    "hidden": '"dbqueue_job"."worker_id" =',
    "retire": 'DELETE FROM "dbqueue_worker"',
    "prune": '"finished_at" <',
}


@on_demand
@pytest.mark.parametrize(
    "refusal",
    [
        "serialization failure",
        "statement timeout",
        *(pytest.param(name, marks=thorough) for name in list(SQLSTATES)[1:3]),
        *(pytest.param(name, marks=thorough) for name in list(SQLSTATES)[4:]),
    ],
)
def test_every_internal_statement_may_fail(
    refusal, meddler, run_worker, jobs, effects, measured, tmp_path
):
    meddler.refuse(SQLSTATES[refusal], times=scaled(1, 2))
    count = scaled(40, 400)
    atomic = [f"atomic {i}" for i in range(3)]
    jobs.many(tasks.work, [(i, 0.01) for i in range(count)])
    jobs.one(tasks.fail_twice, "fails", str(tmp_path / "failures"))
    jobs.one(tasks.tell_progress, "tells", 1.0)
    jobs.many(tasks.write_atomically_again, [(key,) for key in atomic])
    orphan = jobs.one(tasks.note, "orphan")
    held_by_nobody = {"state": "RUNNING", "worker_id": uuid7(), "attempt": 1}
    unfinished(pk=orphan.id).update(**held_by_nobody)
    worker = run_worker(database_url=meddler.url, settings=BRISK)

    wait_until_empty(worker)

    wait_until(lambda: not never_refused(meddler), "each was refused")
    assert worker.stop() == 0
    jobs.check(at_rest=True)
    once = {key: n for key, n in effects.counts().items() if key not in atomic}
    assert once == dict.fromkeys([*range(count), "fails", "tells", "orphan"], 1)
    assert finished(state="SUCCESSFUL").count() == count + 6
    assert sorted(Group.objects.values_list("name", flat=True)) == atomic
    measured("statements, each refused", len(meddler.refused), "")


def never_refused(meddler):
    return {
        name
        for name, words in INTERNAL.items()
        if not any(words in statement for statement in meddler.refused)
    }


OF_OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"


def end_all_sessions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE {OF_OTHERS}"
        )


def test_a_server_that_may_be_read_only_for_a_while_costs_time_alone(
    alter_database, run_worker, jobs, effects
):
    """As after a failover, until the new primary is promoted."""
    worker = run_worker(settings=PATIENT)
    jobs.one(tasks.note, "before")
    effects.wait_for("ended", "before")
    alter_database("default_transaction_read_only", "on")
    end_all_sessions()
    jobs.many(tasks.note, [(i,) for i in range(10)])  # our session may still write
    worker.wait_for_output("read-only transaction")

    alter_database("default_transaction_read_only", "off")
    end_all_sessions()

    wait_until_empty(worker)
    jobs.drained(worker)
    assert finished(failures=0).count() == 11
    assert effects.counts() == dict.fromkeys(["before", *range(10)], 1)


# From a second session


@pytest.fixture
def sessions(only_postgres, database_address):
    """Return two sessions of another program."""
    with (
        psycopg.connect(database_address, autocommit=True) as one,
        psycopg.connect(database_address, autocommit=True) as other,
    ):
        yield one, other


def is_waited_for(session):
    """Tell whether somebody waits for a lock that the session has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE %s = ANY(pg_blocking_pids(pid))",
            [session.info.backend_pid],
        )
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    "parameter",
    ["lock_timeout", pytest.param("statement_timeout", marks=on_demand)],
)
def test_a_lock_that_is_held_longer_than_the_servers_patience_costs_time_alone(
    parameter, sessions, alter_database, run_worker, jobs, effects, measured
):
    alter_database(parameter, "150ms")
    job = jobs.one(tasks.work, "job", 0.5)
    worker = run_worker(settings=PATIENT)
    effects.wait_for("began", "job")
    session, _ = sessions
    with session.transaction():
        session.execute("LOCK TABLE dbqueue_finishedjob IN ACCESS EXCLUSIVE MODE")
        worker.wait_for_output("timeout")
        jobs.one(tasks.note, "meanwhile")
    freed = time.monotonic()

    record = wait_until_finished(job)

    seconds = time.monotonic() - freed
    measured("went on after the lock was gone", seconds, at_most=5.0)
    assert (record.attempt, record.failures) == (1, 0)
    jobs.drained(worker)
    assert effects.counts() == {"job": 1, "meanwhile": 1}


@on_demand
def test_a_worker_that_is_the_victim_of_a_deadlock_finishes_its_jobs_all_the_same(
    sessions, run_worker, jobs, effects, measured, tmp_path
):
    holder, rival = sessions
    calls = [(i, str(tmp_path / f"leave {i}")) for i in range(3)]
    first, one, other = [result.id for result in jobs.many(tasks.work_until, calls)]
    worker = run_worker("--threads", 3, settings=PATIENT)
    effects.wait_for("began", times=3)
    rival.execute("SET deadlock_timeout = '1min'")  # it is the worker who notices
    with rival.transaction():
        lock(rival, other)
        with holder.transaction():
            # While the first cannot be finished, the others become one batch.
            lock(holder, first)
            for key, leave in calls:
                Path(leave).touch()
                effects.wait_for("ended", key)
                wait_until(lambda: is_waited_for(holder), "the worker waits")
        wait_until(lambda: is_waited_for(rival), "the worker has one row, wants two")
        lock(rival, one)
    freed = time.monotonic()

    wait_until_empty(worker)

    measured("went on after the deadlock", time.monotonic() - freed, at_most=5.0)
    assert "deadlock detected" in worker.output
    jobs.drained(worker)
    assert effects.counts() == {0: 1, 1: 1, 2: 1}
    assert finished(attempt=1, failures=0).count() == 3


def lock(session, id):
    session.execute("SELECT FROM dbqueue_job WHERE id = %s FOR UPDATE", [id])
