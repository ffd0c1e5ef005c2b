"""How a worker comes to terms with a server that cancels what takes long."""

import pytest
from django.db import connection, connections

from dbqueue import enqueue_many
from dbqueue.maintenance.promote import promote
from dbqueue.models import FinishedJob, Job
from dbqueue.worker.loop.prefetch import GROW_AFTER, MOST, BatchSize
from tests import tasks
from tests.support.workers import drain

SLOW = """
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
CREATE TRIGGER dawdle BEFORE {event} FOR EACH ROW EXECUTE FUNCTION dawdle();
"""
QUICK = "DROP FUNCTION dawdle CASCADE"


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def dawdle(transactional_db, only_postgres):
    """Return a function that lets a row take long, and a statement not very long."""
    database = connection.ops.quote_name(connection.settings_dict["NAME"])

    def dawdle(event):
        execute(SLOW.format(event=event))
        execute(f"ALTER DATABASE {database} SET statement_timeout = '250ms'")
        connections.close_all()

    yield dawdle
    execute(QUICK)
    execute(f"ALTER DATABASE {database} RESET statement_timeout")
    connections.close_all()


@pytest.mark.parametrize(
    "event",
    ["INSERT ON dbqueue_finishedjob", "UPDATE ON dbqueue_job"],
    ids=["settled", "claimed"],
)
def test_a_worker_takes_less_at_a_time_if_its_statements_are_cancelled(
    event, dawdle, caplog
):
    enqueue_many(tasks.noop, [()] * 16)
    dawdle(event)

    drain(threads=8)

    assert FinishedJob.objects.filter(state="SUCCESSFUL", attempt=1).count() == 16
    assert "A statement took too long; the limit of a batch is now " in caplog.text


def test_due_jobs_become_ready_if_only_some_can_at_a_time(dawdle):
    enqueue_many(tasks.noop, [()] * 5)
    Job.objects.update(state="SCHEDULED", run_after="2000-01-01T00:00:00Z")
    dawdle("UPDATE ON dbqueue_job")

    while Job.objects.filter(state="SCHEDULED").exists():
        assert promote("default", limit=8) == {"default"}

    assert Job.objects.filter(state="READY").count() == 5


def test_a_portion_is_halved_down_to_one_and_grows_back_by_and_by():
    batch = BatchSize()

    batch.shrink(MOST, now=0.0)
    batch.recover(now=GROW_AFTER - 0.1)

    assert batch.size == MOST // 2
    batch.recover(now=GROW_AFTER)
    batch.recover(now=GROW_AFTER)
    assert batch.size == MOST
    batch.shrink(8, now=0.0)
    assert batch.size == 4
    for _ in range(4):
        batch.shrink(8, now=0.0)
    assert batch.size == 1
    batch.recover(now=GROW_AFTER)
    assert batch.size == 2
