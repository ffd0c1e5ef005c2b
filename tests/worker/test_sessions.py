"""Nothing that a job did to its connection, at whatever layer, reaches the next job."""

import pytest
from django.db import connection, connections

from dbqueue import enqueue
from dbqueue.worker.process.connections import tidy
from tests.support import messes
from tests.support import worker_tasks as tasks
from tests.support.processes import finished, wait_until_empty
from tests.support.workers import together

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def own_functions(transactional_db):
    """Let the database have functions, a trigger and a view of its own."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(messes.FUNCTIONS)
    yield
    with connection.cursor() as cursor:
        cursor.execute(messes.WITHOUT_FUNCTIONS)


def kept_after(job):
    """Return whether a thread for jobs keeps its session after such a job."""

    def run():
        for job_of_thread in (messes.PLAIN["get"], job):
            before = connection.connection
            job_of_thread()
            tidy()
        return connection.connection is before is not None

    (kept,) = together(run)
    return kept


def test_a_session_goes_on_after_plain_jobs():
    kept = {name: kept_after(job) for name, job in messes.plain().items()}

    assert kept == dict.fromkeys(kept, True)


def test_a_session_ends_with_the_job_that_altered_it():
    altered = messes.messes()
    del altered["another connection"]  # leaves this one alone

    kept = {name: kept_after(job) for name, job in altered.items()}

    assert kept == dict.fromkeys(kept, False)
    assert connections["default"].settings_dict["CONN_MAX_AGE"] != 7


@pytest.mark.parametrize("kind", messes.NAMELESS)
def test_what_calls_a_function_without_naming_it_may_be_in_any_statement(
    kind, only_postgres
):
    statement, make, be_rid = messes.NAMELESS[kind]
    messes.execute(make)()

    kept = kept_after(messes.execute(statement))

    messes.execute(be_rid)()
    assert kept is False


@pytest.mark.parametrize("pooled", [False, True], ids=["", "pool"])
def test_the_next_job_sees_nothing_of_what_a_job_left(pooled, run_worker):
    settings = {}
    if connection.vendor == "postgresql":
        jobs = messes.POSTGRESQL
        if pooled:
            settings = {"DATABASE_POOL": {"min_size": 1, "max_size": 3}}
    elif pooled:
        pytest.skip("Django pools no connections to SQLite")
    else:
        jobs = messes.SQLITE | messes.SQLITE_DRIVER
    enqueue(tasks.look_at_session, "first")
    for name in messes.ANYWHERE | jobs:
        enqueue(tasks.make_mess, f"to make {name}", name)
        enqueue(tasks.look_at_session, name)
    worker = run_worker("--threads", 1, settings=settings)

    wait_until_empty(worker)

    assert not finished(state="FAILED").exists()
    looks = finished(task=tasks.look_at_session.module_path)
    seen = {job.args[0]: job.result for job in looks}
    first = seen.pop("first")
    assert len(seen) == len(messes.ANYWHERE | jobs)
    assert seen == dict.fromkeys(seen, first)
