"""What a claim reads: no more than ten index entries a job, whatever lies beside them.

PostgreSQL counts the entries that its scans return; SQLite counts the steps of its
virtual machine, and keeps no dead rows.
"""

import re
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from dbqueue import dialects, enqueue, enqueue_many
from dbqueue.dialects import scan
from dbqueue.dialects.rows import Target
from dbqueue.maintenance.promote import promote
from dbqueue.models import Job
from tests import tasks
from tests.settings import url
from tests.support.processes import SCALE, on_demand, thorough
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = 10  # in one claim
FACTOR = 10  # entries that may be read for each
BESIDE = [0, 1, 50_000] + ([1_000_000] if SCALE >= 10 else [])
NAMES = [f"q{i}" for i in range(5)]
QUEUES = [NAMES[:1], NAMES, ["*"]]
AHEAD = 5  # the priority of rows that come before all others


@pytest.fixture
def template():
    """Return the id of a job that stands still, as a pattern for others."""
    return enqueue(tasks.noop.using(queue_name="elsewhere")).id


def copy(template, number, state, *, priority=0):
    """Write so many jobs, spread over the queues, in the database itself."""
    postgres = connection.vendor == "postgresql"
    values = {
        "id": "gen_random_uuid()" if postgres else "lower(hex(randomblob(16)))",
        "state": f"'{state}'",
        "priority": str(priority),
        "queue_name": "'q' || (i %% 5)",
        "run_after": "j.enqueued_at",
    }
    columns = [field.column for field in Job._meta.local_concrete_fields]
    chosen = ", ".join(values.get(name, f"j.{name}") for name in columns)
    series = "SELECT 0 AS i UNION ALL SELECT i + 1 FROM s WHERE i + 1 < %s"
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE s(i) AS ({series}) "
            f"INSERT INTO dbqueue_job ({', '.join(columns)}) "
            f"SELECT {chosen} FROM dbqueue_job j CROSS JOIN s WHERE j.id = %s AND %s",
            [number, template if postgres else template.replace("-", ""), number > 0],
        )


def vacuum(*, analyze=False):
    """Remove what is dead, so that only what lies beside is there to be read."""
    options = f"INDEX_CLEANUP ON, ANALYZE {analyze}"  # even of a few among very many
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ({options}) dbqueue_job")


# How much a claim reads


DEAD = 15_000
LARGE = 2000  # rows; a smaller table may be read as a whole, and quicker so


def entries_read(claim):
    """Return how many entries of the job table's indexes the claim had to read."""
    with transaction.atomic():
        entries, rows = returned("indexrelid"), returned("DISTINCT indrelid")
        jobs = claim()
        rows = returned("DISTINCT indrelid") - rows
        entries = returned("indexrelid") - entries
    assert len(jobs) == JOBS
    assert rows == 0 or Job.objects.count() < LARGE
    return entries


def returned(relations):
    """Return what scans of the job table, or its indexes, brought up so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_stat_get_xact_tuples_returned(oid))::int FROM ("
            f"SELECT {relations} AS oid FROM pg_index"
            " WHERE indrelid = 'dbqueue_job'::regclass) AS relations"
        )
        return cursor.fetchone()[0]


def steps_made(claim):
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    connection.ensure_connection()
    connection.connection.set_progress_handler(step, 10)
    try:
        assert len(claim()) == JOBS
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps


@pytest.mark.parametrize("beside", BESIDE)
def test_ready_and_scheduled_rows_beside_a_claim_are_not_read(
    beside, template, only_postgres
):
    for state in ("READY", "SCHEDULED"):
        copy(template, 8 * JOBS * len(NAMES) + beside, state)

    read = []
    for analyze in (False, True):
        for queues in QUEUES:
            vacuum(analyze=analyze)
            worker = HandWorker(*queues)
            read += [entries_read(lambda w=worker: w.claim(JOBS)) for _ in range(2)]

    assert max(read) <= FACTOR * JOBS


def test_whether_any_is_ready_is_not_looked_for_among_those_that_are_not(
    template, only_postgres
):
    copy(template, 20 * LARGE, "SCHEDULED")
    copy(template, 2 * LARGE, "READY")
    vacuum(analyze=True)

    with transaction.atomic():
        rows = returned("DISTINCT indrelid")
        outlook = HandWorker("a").dialect.next_due()
        rows = returned("DISTINCT indrelid") - rows

    assert outlook.ready
    assert rows == 0


@pytest.mark.parametrize("chosen", [False, True], ids=["new ids", "chosen ids"])
def test_a_claim_looks_into_the_history_for_chosen_ids_alone(chosen, only_postgres):
    before = HandWorker("*")
    enqueue_many(tasks.noop, [()] * LARGE)
    before.finish_all(before.claim(LARGE))
    for _ in range(JOBS):
        enqueue(tasks.noop.using(job_id=uuid4() if chosen else None))

    with transaction.atomic():
        tables = "dbqueue_finishedjob", "dbqueue_finishedjob_pkey"
        looks = sum(map(scans, tables))
        assert len(HandWorker("*").claim(JOBS)) == JOBS
        looks = sum(map(scans, tables)) - looks

    assert looks == (JOBS if chosen else 0)


def scans(relation):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_numscans(%s::regclass)", [relation])
        return cursor.fetchone()[0]


@pytest.fixture
def durable(only_postgres, transactional_db):
    """Wait for the disk at each commit: until its end is there, no row is dead."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
    yield
    connection.close()


# An autovacuum that looks on at the wrong moment keeps the dead rows alive.
@thorough
@pytest.mark.parametrize("analyze", [False, True], ids=["", "analyzed"])
@pytest.mark.parametrize("queues", QUEUES, ids=",".join)
@pytest.mark.parametrize("beside", BESIDE)
def test_dead_rows_are_read_once_and_not_again(
    beside, queues, analyze, template, durable
):
    copy(template, LARGE, "READY")
    copy(template, beside, "READY", priority=AHEAD)
    Job.objects.filter(priority=AHEAD).delete()
    if analyze:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE dbqueue_job")
    HandWorker(*queues).claim(JOBS)  # the scan marks the entries that are dead

    read = entries_read(lambda: HandWorker(*queues).claim(JOBS))

    assert read <= FACTOR * JOBS


@contextmanager
def old_snapshot():
    """Be a program that looks at the database of before: nothing may be vacuumed."""
    with psycopg.connect(url(connection.settings_dict)) as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT count(*) FROM dbqueue_worker")
        yield


@pytest.mark.parametrize("beside", BESIDE)
def test_dead_rows_that_vacuum_may_not_remove_are_passed_over_by_the_low_water_mark(
    beside, template, only_postgres, monkeypatch
):
    monkeypatch.setattr(scan, "RESCAN", 3600.0)  # seconds until it starts anew
    copy(template, 4 * JOBS * len(NAMES), "READY")
    with old_snapshot():
        copy(template, beside, "READY", priority=AHEAD)
        Job.objects.filter(priority=AHEAD).delete()
        read = []
        for queues in QUEUES:
            worker = HandWorker(*queues)
            worker.claim(JOBS)

            read.append(entries_read(lambda w=worker: w.claim(JOBS)))

    assert max(read) <= FACTOR * JOBS


@on_demand
@pytest.mark.parametrize("beside", BESIDE)
def test_dead_rows_that_vacuum_may_not_remove_are_read_once_by_a_promotion(
    beside, template, only_postgres
):
    """Not once for each job that is made ready, nor for each queue that is counted."""
    dialect = dialects.of("default")
    copy(template, 4 * JOBS * len(NAMES), "READY")
    with old_snapshot():
        for state in ("SCHEDULED", "READY"):
            copy(template, beside, state, priority=AHEAD)
        Job.objects.filter(priority=AHEAD).delete()
        copy(template, 4 * JOBS, "SCHEDULED")

        promoting = entries_of(lambda: dialect.promote(JOBS))
        looking = entries_of(dialect.next_due)
        counting = entries_of(lambda: dialect.queue_counts(LARGE))

    assert Job.objects.filter(state="SCHEDULED").count() == 3 * JOBS
    assert max(promoting, looking) <= beside + FACTOR * JOBS
    # Each of the states, and the names of the queues.
    assert counting <= 3 * beside + FACTOR * Job.objects.count()


def entries_of(move):
    with transaction.atomic():
        entries = returned("indexrelid")
        move()
        return returned("indexrelid") - entries


@pytest.mark.parametrize("queues", [["*"], ["default"]], ids=",".join)
def test_a_claim_from_the_low_water_mark_reads_few_pages_among_dead_rows(
    queues, never_analyzed, monkeypatch
):
    """Both parts of the mark are a boundary of the index, not a filter behind it."""
    monkeypatch.setattr(scan, "RESCAN", 3600.0)  # seconds until it starts anew
    enqueue_many(tasks.noop, [()] * (DEAD + 2 * JOBS))
    worker = HandWorker(*queues)
    with old_snapshot():
        worker.finish_all(worker.claim(DEAD))
        fresh = pages_read(Target("default"))
        (mark,) = worker.scan.marked()

        assert pages_read(mark) < 30 < fresh


def pages_read(target):
    """Return how many pages it takes to find some jobs of the target, unlocked."""
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        dialects.of("default").take([target], HandWorker().id, JOBS)
        transaction.set_rollback(True)
    found = re.search(r"SELECT id FROM dbqueue_job.*?LIMIT \d+", find(captured), re.S)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {found[0]}")
        ((plan,),) = cursor.fetchall()[0]
    top = plan["Plan"]
    return top["Shared Hit Blocks"] + top["Shared Read Blocks"]


def find(captured):
    (sql,) = (q["sql"] for q in captured if "SKIP LOCKED" in q["sql"])
    return sql


@pytest.mark.parametrize("analyze", [False, True], ids=["", "analyzed"])
def test_to_record_an_end_none_of_those_before_it_are_read(
    analyze, template, only_postgres
):
    copy(template, 2 * LARGE, "READY")
    worker = HandWorker(*NAMES)
    with old_snapshot():
        worker.finish_all(worker.claim(LARGE))
        if analyze:
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE dbqueue_job")
        jobs = worker.claim(JOBS)

        assert entries_read(lambda: worker.finish_all(jobs)) <= FACTOR * JOBS


# Plans that the server keeps


@pytest.fixture
def own_session(only_postgres, transactional_db):
    """Be the loop of a worker."""
    connection.close()
    connection.ensure_connection()
    dialects.of("default").prepare_session(idling=60.0, waiting=60.0, answering=60.0)
    yield
    connection.close()


@pytest.fixture
def never_analyzed(only_postgres, transactional_db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dbqueue_job SET (autovacuum_enabled = false)")
        cursor.execute("VACUUM ANALYZE dbqueue_job")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE dbqueue_job RESET (autovacuum_enabled)")


def work_off(worker):
    """Make each move of a worker's."""
    jobs = worker.claim(JOBS)
    worker.note_progress(jobs[0], '{"value": 1}')
    worker.release(jobs[0])
    worker.finish_all(jobs[1:])
    worker.dialect.next_due()
    worker.dialect.promote(JOBS)


def kept_plans():
    """Return how often the server used each plan that it keeps."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans FROM pg_prepared_statements")
        return dict(cursor.fetchall())


@pytest.mark.parametrize("queues", QUEUES, ids=",".join)
def test_plans_from_when_the_table_was_empty_are_good_for_many_jobs(
    queues, never_analyzed, own_session
):
    worker = HandWorker(*queues)
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    for _ in range(3):
        for name in NAMES:
            enqueue_many(tasks.noop.using(queue_name=name), [()] * JOBS)
        work_off(worker)
    for name in NAMES:
        enqueue_many(tasks.noop.using(queue_name=name), [()] * 2 * LARGE)

    with transaction.atomic():
        entries, rows = returned("indexrelid"), returned("DISTINCT indrelid")
        work_off(worker)
        rows = returned("DISTINCT indrelid") - rows
        entries = returned("indexrelid") - entries

    assert rows == 0
    assert entries <= 4 * FACTOR * JOBS
    plans = kept_plans()
    assert any("SKIP LOCKED" in statement for statement in plans)
    assert all(plans.values())


def test_no_plan_is_kept_in_a_session_of_the_project(only_postgres):
    worker = HandWorker()
    for _ in range(3):
        enqueue_many(tasks.noop, [()] * JOBS)
        work_off(worker)

    assert not kept_plans()


def test_the_log_of_a_workers_statements_has_their_values(own_session):
    worker = HandWorker()
    enqueue(tasks.noop)
    with CaptureQueriesContext(connection) as captured:
        worker.claim(JOBS)

    assert any(worker.id.hex in query["sql"] for query in captured.captured_queries)


@pytest.mark.parametrize("queues", QUEUES, ids=",".join)
def test_no_more_than_the_limit_is_taken_however_it_is_planned(queues, template):
    """A plan that selects anew for each row would take all: locked rows are skipped."""
    copy(template, 1, "READY")
    copy(template, 1, "SCHEDULED")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # from now on it plans for a single row
        copy(template, 40, "READY")
        copy(template, 40, "SCHEDULED")
        worker = HandWorker(*queues)

        assert len(worker.claim(3)) == 3
        assert len(worker.claim(3)) == 3
        promote("default", limit=3)
        assert Job.objects.filter(state="SCHEDULED").count() == 41 - 3


@pytest.mark.parametrize("queues", QUEUES, ids=",".join)
def test_on_sqlite_a_claim_makes_no_more_steps_than_with_nothing_beside_it(
    queues, template, only_sqlite
):
    copy(template, 4 * JOBS * len(NAMES), "READY")
    alone = steps_made(lambda: HandWorker(*queues).claim(JOBS))
    for state in ("READY", "SCHEDULED"):
        copy(template, BESIDE[-1], state)

    crowded = [steps_made(lambda: HandWorker(*queues).claim(JOBS))]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connections["default"].close()  # a new one plans by the new statistics
    crowded.append(steps_made(lambda: HandWorker(*queues).claim(JOBS)))

    assert max(crowded) <= 1.5 * alone + 10
