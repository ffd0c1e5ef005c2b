"""Two hosts of eight children each, behind what a migration or VACUUM FULL locks."""

import time

import psycopg
import pytest

from tests.support import invariants
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    PATIENCE,
    SCALE,
    finished,
    on_demand,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("only_postgres"),
    on_demand,
]

PROCESSES, JOBS = 8, 400
LOCKED = 120.0 if SCALE >= 10 else 20.0  # seconds; the watchdog's patience is 8


@pytest.mark.parametrize("mode", ["SHARE", "ACCESS EXCLUSIVE"])
def test_workers_behind_a_table_lock_keep_to_their_connections_and_then_go_on(
    mode, run_worker, jobs, effects, measured, database_address
):
    jobs.many(tasks.work, [(i, 0.05) for i in range(JOBS)])
    workers = [
        run_worker("--processes", PROCESSES, "--threads", 1, "-v", 0) for _ in range(2)
    ]
    for worker in workers:
        worker.wait_until_working(PROCESSES)
    effects.wait_for("ended", times=JOBS // 4)
    normal = len(invariants.backends())
    with psycopg.connect(database_address) as session:
        session.execute(f"LOCK TABLE dbqueue_job IN {mode} MODE")
        most, until = 0, time.monotonic() + LOCKED
        while time.monotonic() < until:
            # Ours is one of them.
            most = max(most, len(invariants.backends()) - 1)
            time.sleep(0.1)  # between two samples
    freed = time.monotonic()

    wait_until_empty(workers[0], 2 * PATIENCE)

    measured(f"connections, of {normal} without the lock ({mode})", most, "")
    measured("all was done after the lock within", time.monotonic() - freed)
    assert most < 2 * normal
    for worker in workers:
        jobs.check(at_rest=True)
        assert worker.process.poll() is None
    assert finished(state="SUCCESSFUL").count() == JOBS
    assert effects.counts().keys() == set(range(JOBS))
