"""One cursor serves many statements, and nobody can tell."""

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from dbqueue import enqueue
from dbqueue.models import Job
from tests import tasks
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)


def test_jobs_are_written_and_claimed_after_a_reconnection():
    worker = HandWorker()
    before = enqueue(tasks.noop)
    connection.close()

    after = enqueue(tasks.noop)

    assert [str(job.id) for job in worker.claim(2)] == [before.id, after.id]


def test_a_statement_that_fails_does_not_spoil_the_next():
    enqueue(tasks.noop)
    with (
        pytest.raises(OperationalError),
        connection.execute_wrapper(failing),
    ):
        enqueue(tasks.noop)

    enqueue(tasks.noop)

    assert Job.objects.count() == 2


def failing(execute, sql, params, many, context):
    raise OperationalError("injected")


def test_a_hook_that_enqueues_while_a_job_is_enqueued_disturbs_neither():
    inner = []

    def log(execute, sql, params, many, context):
        answer = execute(sql, params, many, context)
        if not inner:
            inner.append(None)
            inner[0] = enqueue(tasks.add, 3, 4)
        return answer

    enqueue(tasks.noop)
    with connection.execute_wrapper(log):
        outer = enqueue(tasks.add, 1, 2)

    for result in (outer, inner[0]):
        row = Job.objects.get(pk=result.id)
        assert (row.args, row.enqueued_at) == (result.args, result.enqueued_at)


def test_a_test_that_forbids_queries_forbids_them_here_too(monkeypatch):
    enqueue(tasks.noop)

    def forbidden():
        raise AssertionError("Database queries are not allowed")

    # As an item, which goes again: setattr() would leave the method on the instance.
    monkeypatch.setitem(vars(connections["default"]), "cursor", forbidden)

    with pytest.raises(AssertionError, match="not allowed"):
        enqueue(tasks.noop)


def test_the_statements_are_captured_like_any_others():
    enqueue(tasks.noop)
    with CaptureQueriesContext(connection) as captured:
        enqueue(tasks.add, 1, 2)

    (query,) = captured.captured_queries
    assert "tests.tasks.add" in query["sql"]


def test_moments_are_in_the_time_zone_of_the_settings(settings):
    enqueue(tasks.noop)
    settings.TIME_ZONE = "Asia/Tokyo"
    settings.USE_TZ = True

    result = enqueue(tasks.noop)

    row = Job.objects.get(pk=result.id)
    assert result.enqueued_at == row.enqueued_at
    assert result.enqueued_at.utcoffset() == row.enqueued_at.utcoffset()


def test_a_backend_that_does_more_with_each_cursor_does_it_here_too(
    monkeypatch, only_postgres
):
    """As one that chooses a tenant's schema: for each statement, not once for all."""
    enqueue(tasks.noop)
    chosen = []

    class Choosing(type(connections["default"])):
        def _cursor(self, name=None):
            chosen.append(name)
            return super()._cursor(name)

    monkeypatch.setattr(connections["default"], "__class__", Choosing)
    enqueue(tasks.noop)
    enqueue(tasks.noop)

    assert len(chosen) == 2


def test_a_session_in_another_time_zone_does_not_shift_the_moments_after_it(
    only_postgres,
):
    connection.close()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")
        enqueue(tasks.noop)

    result = enqueue(tasks.noop)

    assert result.enqueued_at == Job.objects.get(pk=result.id).enqueued_at
