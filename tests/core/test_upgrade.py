"""Tables in use are upgraded, beside workers and enqueuers of the code of before."""

import subprocess
import sys
import tarfile
from io import BytesIO
from threading import Event, Thread
from uuid import UUID, uuid4, uuid5

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from dbqueue import enqueue, jobs
from dbqueue.ids import uuid7
from dbqueue.jobs.moves import make_due
from dbqueue.migrations import _live
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support.processes import (
    ENQUEUER,
    ROOT,
    on_demand,
    scaled,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

# The last commit without 0003, and the tables that it knows.
BEFORE, TABLES = "68b81ed", "0002_uploads"
JOBS = 60
CHOSEN = uuid5(UUID(int=0), "chosen")
ENQUEUE_CHOSEN = """
import sys
import django
django.setup()
from datetime import timedelta
from dbqueue import enqueue
from tests.support.worker_tasks import note
enqueue(note.using(job_id=sys.argv[1], run_after=timedelta(hours=1)), "chosen")
"""


def migrate(*target):
    call_command("migrate", "dbqueue", *target, verbosity=0)


@pytest.fixture
def tables_of_before(transactional_db):
    migrate(TABLES)
    yield
    migrate()


@pytest.fixture(scope="session")
def code_of_before(tmp_path_factory):
    """Return a folder with the code of before, tests included."""
    command = ["git", "-C", ROOT, "archive", BEFORE, "dbqueue", "migrations", "tests"]
    packed = subprocess.run(command, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"git knows no commit {BEFORE}: {packed.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_a_live_database_is_upgraded_under_workers_and_enqueuers_of_before(
    tables_of_before, code_of_before, start, run_worker, effects
):
    def before(*arguments):
        return start([sys.executable], arguments, PYTHONPATH=code_of_before)

    enqueuers = [
        before("-c", ENQUEUE_CHOSEN, CHOSEN),
        before("-c", ENQUEUER, "a", JOBS),
    ]
    old = before("-m", "django", "runworker")
    effects.wait_for("ended", times=5)
    assert enqueuers[0].wait() == 0

    migrate()

    enqueuers.append(before("-c", ENQUEUER, "b", JOBS))
    new = run_worker()
    new.wait_until_working()
    assert old.stop() == 0
    assert [enqueuer.wait() for enqueuer in enqueuers] == [0, 0, 0]
    assert Job.objects.get(pk=CHOSEN).once
    make_due("default")
    wait_until_empty(new)
    notes = {f"{name}{i}": 1 for name in "ab" for i in range(JOBS)}
    assert effects.counts() == {"chosen": 1, **notes}


def test_workers_and_enqueuers_of_two_versions_side_by_side_run_each_job_once(
    code_of_before, start, run_worker, run_enqueuer, effects
):
    """On the new tables, as in the middle of a rolling deployment."""

    def before(*arguments):
        return start([sys.executable], arguments, PYTHONPATH=code_of_before)

    count = scaled(100, 1000)
    workers = [before("-m", "django", "runworker"), run_worker()]
    enqueuers = [before("-c", ENQUEUER, "old ", count), run_enqueuer("new ", count)]
    effects.wait_for("ended", times=count // 2)
    enqueuers.append(run_enqueuer("newer ", count))

    assert [enqueuer.wait(120) for enqueuer in enqueuers] == [0, 0, 0]
    wait_until_empty(workers[1], 120)
    keys = [f"{name} {i}" for name in ("old", "new", "newer") for i in range(count)]
    assert effects.counts() == dict.fromkeys(keys, 1)
    pids = effects.pids()
    for worker in workers:
        assert pids & worker.below(), "it had no part in it"
        assert worker.stop() == 0


def test_an_upgrade_is_undone_and_done_again_with_jobs_in_the_tables(transactional_db):
    ids = [uuid4(), uuid7()]
    for id in ids:
        enqueue(tasks.noop.using(job_id=id))

    migrate(TABLES)
    migrate()

    # Of a chosen id of version 7 it cannot be told.
    assert dict(Job.objects.values_list("pk", "once")) == {ids[0]: True, ids[1]: None}
    assert len(run_jobs()) == 2


def test_jobs_that_failed_before_an_upgrade_are_found_by_their_exception(
    transactional_db,
):
    failed = enqueue(tasks.fail_hopelessly, "no luck")
    damaged = enqueue(tasks.fail_hopelessly, "no luck")
    run_jobs()
    FinishedJob.objects.update(exception=None)
    FinishedJob.objects.filter(pk=damaged.id).update(attempt_log=7)
    migrate("0006_limits")

    migrate()

    assert [result.id for result in jobs.filter(exception=ValueError)] == [failed.id]


def test_an_upgrade_that_was_cut_short_is_done_again(tables_of_before):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dbqueue_job ADD COLUMN once boolean NULL")
        cursor.execute("CREATE INDEX dbqueue_job_order ON dbqueue_job (id)")

    migrate()

    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, Job._meta.db_table)
    assert found["dbqueue_job_order"]["columns"] == [
        "queue_name",
        "priority",
        "enqueued_at",
        "id",
    ]
    assert "dbqueue_job_ready" not in found


@on_demand
def test_nobody_waits_long_while_an_upgrade_waits_for_a_transaction(
    only_postgres, tables_of_before, code_of_before, start, monkeypatch
):
    monkeypatch.setattr(_live, "PAUSE", 0.1)
    leave = Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE dbqueue_job IN ROW EXCLUSIVE MODE")
            leave.wait()

    holder = Thread(target=closing(hold))
    holder.start()
    upgrade = Thread(target=closing(migrate))
    upgrade.start()

    others = start(
        [sys.executable, "-c", ENQUEUER], ["a", 20], PYTHONPATH=code_of_before
    )

    assert others.wait() == 0
    assert upgrade.is_alive()
    leave.set()
    upgrade.join()
    holder.join()
    assert Job.objects.filter(once=None).count() == 20


def closing(work):
    """Return what works in a thread and leaves no connection."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    return run
