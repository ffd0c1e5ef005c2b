"""What jobs log is kept beside their records, if their task asks for it."""

import logging
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbqueue import enqueue, task
from dbqueue.dialects import hooks
from dbqueue.logs import capture, lines, store
from dbqueue.logs.models import JobLog
from dbqueue.maintenance.prune import prune
from dbqueue.models import FinishedJob
from dbqueue.tasks.framework import InvalidTask
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support import logging_tasks
from tests.support.workers import HandWorker, drain

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _loggers():
    """Let all levels through, as LOGGING of a project would, and show them nowhere."""
    shop, nowhere = logging.getLogger("shop"), logging.NullHandler()
    shop.setLevel(logging.DEBUG)
    shop.propagate = False
    shop.addHandler(nowhere)
    yield
    shop.removeHandler(nowhere)
    shop.propagate = True
    shop.setLevel(logging.NOTSET)
    capture.kept.clear()


def said(result):
    return [line.message for line in result.logs()]


class TestWhatIsKept:
    def test_a_sync_job_keeps_what_it_logs(self):
        result = enqueue(logging_tasks.say, "hello")
        run_jobs()

        (line,) = result.logs()

        assert (line.attempt, line.level, line.logger) == (1, "INFO", "shop.mail")
        assert line.message == "Sent hello"
        assert line.at.tzinfo is not None

    def test_an_async_job_keeps_what_it_and_its_threads_log(self):
        result = enqueue(logging_tasks.asay, "x")
        run_jobs()

        assert said(result) == ["Async x", "In a thread x"]

    @pytest.mark.parametrize("fail", [False, True])
    def test_an_atomic_job_keeps_it_on_failure_too(self, fail):
        result = enqueue(logging_tasks.say_in_a_transaction, "x", fail=fail)
        run_jobs()

        result.refresh()
        assert result.state == ("FAILED" if fail else "SUCCESSFUL")
        assert said(result) == ["Atomic x"]

    def test_each_attempt_keeps_its_own(self):
        result = enqueue(logging_tasks.say, "x", fail=True)
        run_jobs()

        assert [line.attempt for line in result.logs()] == [1, 2]

    def test_lower_levels_and_other_tasks_are_left_out(self):
        low = enqueue(logging_tasks.say, "x", level="DEBUG")
        other = enqueue(logging_tasks.say_nothing_of_it, "x")
        high = enqueue(logging_tasks.say_much, 1)
        run_jobs()

        assert said(low) == ["Sent x"]
        assert said(other) == []
        assert len(said(high)) == 1

    def test_what_no_column_can_hold_is_escaped_and_what_is_wrong_is_told(self):
        result = enqueue(logging_tasks.say_strange)
        run_jobs()

        found = said(result)

        assert found[0] == "NUL \\x00 and \\ud800"
        assert "cannot be formatted" in found[1]
        assert found[2] == "not propagated"
        assert found[3].startswith("It failed\nTraceback")
        assert found[3].endswith("KeyError: 'inner'")


class TestBounds:
    def test_the_first_and_the_latest_lines_are_kept(self):
        result = enqueue(logging_tasks.say_much, 1000)
        run_jobs()

        found = said(result)

        assert len(found) == lines.FIRST + 1 + lines.LATEST
        assert found[0].startswith("00000")
        assert found[lines.FIRST] == "… 800 lines were left out."
        assert found[-1].startswith("00999")

    def test_long_lines_are_cut_and_all_of_them_together(self):
        result = enqueue(logging_tasks.say_much, 500, 10_000)
        run_jobs()

        found = said(result)

        assert max(map(len, found)) <= lines.LINE_LENGTH + 3
        assert sum(map(len, found)) <= lines.LENGTH + lines.LINE_LENGTH
        assert found[-1].startswith("00499")

    def test_only_the_latest_attempts_are_kept(self, monkeypatch):
        monkeypatch.setattr(store, "MOST_ATTEMPTS", 3)
        enqueue(logging_tasks.say_and_come_again, 9)
        worker = HandWorker()
        for _ in range(6):
            (job,) = worker.claim()
            outcome = worker.run(job)
            worker.dialect.record(worker.id, [outcome])

        assert list(JobLog.objects.values_list("attempt", flat=True)) == [4, 5, 6]

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(capture, "MOST_KEPT", 10)
        for n in range(30):
            enqueue(logging_tasks.say, n)
        run_jobs()

        assert len(capture.kept) <= 10


class TestWhereTheyGo:
    def test_they_go_with_the_record(self):
        kept = enqueue(logging_tasks.say, "kept")
        gone = enqueue(logging_tasks.say, "gone")
        pruned = enqueue(logging_tasks.say, "pruned")
        run_jobs()

        gone.discard()
        FinishedJob.objects.filter(pk=pruned.id).update(finished_at="2020-01-01T00:00Z")
        prune("default", states=["SUCCESSFUL"], older_than=3600)

        assert list(JobLog.objects.values_list("job_id", flat=True)) == [UUID(kept.id)]

    def test_they_stay_with_a_job_that_is_run_again(self):
        result = enqueue(logging_tasks.say, "x", fail=True)
        run_jobs()

        result.retry()

        assert len(result.logs()) == 2

    def test_those_of_jobs_that_are_gone_are_found(self, monkeypatch):
        monkeypatch.setattr(store, "BATCH", 2)
        results = [enqueue(logging_tasks.say, n) for n in range(5)]
        run_jobs()
        FinishedJob.objects.exclude(pk=results[0].id)._raw_delete("default")

        counts = [store.forget_orphans("default") for _ in range(4)]

        assert sum(counts) == 4
        assert JobLog.objects.count() == 1

    def test_those_of_a_job_that_runs_are_there_before_its_end(self):
        result = enqueue(logging_tasks.say, "x")
        worker = HandWorker()
        (job,) = worker.claim()
        worker.run(job)
        assert said(result) == []

        store.while_running("default")

        assert said(result) == ["Sent x"]

    def test_a_damaged_row_shows_nothing(self):
        result = enqueue(logging_tasks.say, "x")
        run_jobs()

        for text in ("", "{}", "[[1], 2]", '[[["a"]], []]', "null"):
            JobLog.objects.update(lines=text)
            assert result.logs() == []


@pytest.mark.django_db(transaction=True)
def test_a_real_child_keeps_what_its_jobs_log():
    results = [enqueue(logging_tasks.say, n) for n in range(20)]
    results += [enqueue(logging_tasks.asay, "x"), enqueue(tasks.noop)]

    drain()

    assert [said(result) for result in results[:20]] == [
        [f"Sent {n}"] for n in range(20)
    ]
    assert said(results[20]) == ["Async x", "In a thread x"]
    assert said(results[21]) == []


@pytest.mark.parametrize("value", ["loud", 3.5, -1, [], object()])
def test_another_level_is_refused(value):
    with pytest.raises(InvalidTask, match="keep_logs="):
        task(keep_logs=value)(tasks.noop.func)


def test_the_root_logger_is_left_alone():
    assert not [h for h in logging.getLogger().handlers if "dbqueue" in str(type(h))]
    assert logging.getLogRecordFactory().is_dbqueues


def test_a_job_that_does_not_ask_costs_no_statement():
    enqueue(tasks.noop)
    worker = HandWorker()
    (job,) = worker.claim()
    outcome = worker.run(job)

    with CaptureQueriesContext(connection) as captured:
        worker.dialect.record(worker.id, [outcome])

    assert store.with_end in hooks.after_record
    assert not [query for query in captured if "joblog" in query["sql"]]
