"""What administrators run on a database in use: vacuum, reindex, cluster, analyze."""

import sqlite3
import time
from contextlib import closing, contextmanager

import psycopg
import pytest
from django.db import connection

from tests.support import worker_tasks as tasks
from tests.support.processes import PATIENCE, finished, on_demand, scaled, unfinished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

TABLES = "dbqueue_job", "dbqueue_finishedjob", "dbqueue_worker"
COMMANDS = {
    "postgresql": (
        "VACUUM FULL {table}",
        "REINDEX TABLE CONCURRENTLY {table}",
        "REINDEX TABLE {table}",
        "CLUSTER {table} USING {table}_pkey",
        "VACUUM (FREEZE, ANALYZE) {table}",
    ),
    "sqlite": ("VACUUM", "REINDEX {table}", "PRAGMA wal_checkpoint(TRUNCATE)"),
}
# A plain run has the first, which rewrites a table, or all of them.
FIRST, *OTHERS = COMMANDS[connection.vendor]
EACH = [FIRST, *(pytest.param(command, marks=on_demand) for command in OTHERS)]


@contextmanager
def administrator(database_address):
    """Give what runs a statement in a session that is nobody else's."""
    if connection.vendor == "postgresql":
        with psycopg.connect(database_address, autocommit=True) as session:
            yield session.execute
        return
    name = connection.settings_dict["NAME"]
    patient = sqlite3.connect(name, timeout=PATIENCE, isolation_level=None)
    with closing(patient) as session:
        yield lambda statement: session.execute(statement).fetchall()


@pytest.mark.parametrize("command", EACH)
def test_upkeep_of_the_tables_loses_and_doubles_no_job_and_stops_no_worker(
    command, database_address, run_worker, run_enqueuer, jobs, effects, measured
):
    count, spans = scaled(60, 300), []
    workers = [run_worker("--processes", 2) for _ in range(2)]
    for worker in workers:
        worker.wait_until_working(2)
    enqueuers = [run_enqueuer(f"{i} ", count) for i in range(2)]

    with administrator(database_address) as run:
        effects.wait_for("ended")
        while any(e.process.poll() is None for e in enqueuers) or unfinished().exists():
            for table in TABLES:
                began = time.time()
                run(command.format(table=table))
                spans.append((began, time.time()))

    assert [enqueuer.wait() for enqueuer in enqueuers] == [0, 0]
    last = max(line["at"] for line in effects.all("ended"))
    amid = [until - since for since, until in spans if until < last]
    measured(f"{command}: times while jobs ran", len(amid), "")
    measured(f"{command}: the longest took", max(amid))
    assert len(amid) >= len(TABLES)
    jobs.check(at_rest=True)
    assert set(effects.counts().values()) == {1}
    assert finished(state="SUCCESSFUL", failures=0).count() == 2 * count
    assert [worker.process.poll() for worker in workers] == [None, None]
    jobs.one(tasks.note, "after")
    jobs.drained(workers[0])
