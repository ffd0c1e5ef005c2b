"""What a column, a log or a terminal cannot hold is refused in words, or written so."""

import sys
from datetime import datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings

from dbqueue import bind_context, enqueue, enqueue_many, task
from dbqueue.exceptions import DbqueueError
from dbqueue.ids import uuid7
from dbqueue.maintenance import leases
from dbqueue.models import FinishedJob, Job, Worker
from dbqueue.tasks.framework import InvalidTask
from dbqueue.testing import run_jobs
from tests import tasks

pytestmark = [
    pytest.mark.django_db(databases="__all__"),
    pytest.mark.usefixtures("quiet"),
]

STRANGE = ["\0", "a\0b", "\ud800", "a\udcffb", "\x1b[31m", "a\nb", "x" * 300]
ids = [ascii(text)[:20] for text in STRANGE]
REFUSED = (DbqueueError, InvalidTask, ImproperlyConfigured)


def named(name):
    """Return a function at a module's top level that is called like this."""

    def function():
        pass

    function.__name__ = function.__qualname__ = name
    return function


@pytest.mark.parametrize("text", STRANGE, ids=ids)
class TestNames:
    def test_a_task_with_such_a_name_is_refused_where_it_is_declared(self, text):
        with pytest.raises(InvalidTask, match="must be printable"):
            task(named(text))

    def test_a_function_with_such_a_name_is_refused_where_it_is_enqueued(
        self, text, monkeypatch
    ):
        function = named(text)
        monkeypatch.setattr(sys.modules[__name__], "found", function, raising=False)

        with pytest.raises(REFUSED) as raised:
            enqueue(function)

        assert str(raised.value).isprintable()

    def test_a_queue_with_such_a_name_is_refused(self, text):
        with pytest.raises(InvalidTask):
            enqueue(tasks.noop.using(queue_name=text))

    def test_a_backend_with_such_an_alias_is_refused(self, text):
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
        with override_settings(TASKS={"default": entry, text: entry}):
            with pytest.raises(ImproperlyConfigured, match="must be printable"):
                enqueue(tasks.noop.using(backend=text))

            assert "dbqueue.E002" in {message.id for message in run_checks()}

    def test_a_worker_for_such_a_queue_does_not_start(self, text):
        with pytest.raises((CommandError, ImproperlyConfigured, SystemExit)):
            call_command("runworker", "--drain", "--queues", text, "--exclude", "\0")

    def test_a_worker_on_such_a_host_is_registered(self, text):
        id = uuid7()

        leases.register(
            *("default", id),
            name=text * 9,
            host=text,
            pid=1,
            queues=text * 99,
            lease=9,
        )

        worker = Worker.objects.get(pk=id)
        worker.name.encode()
        assert "\0" not in worker.name + worker.host + worker.queues


CANNOT_BE_KEPT = STRANGE[:4]


@pytest.mark.parametrize("text", CANNOT_BE_KEPT, ids=ids[:4])
class TestTexts:
    def test_no_argument_has_it(self, text):
        for value in (text, [text], {text: 1}, {"a": [{"b": text}]}, (1, text)):
            for call in (
                partial(enqueue, tasks.echo, value),
                partial(enqueue, tasks.echo, value=value),
                partial(enqueue_many, tasks.echo, [(value,)]),
                partial(enqueue, tasks.send_typed, value),
            ):
                with pytest.raises(DbqueueError) as raised:
                    call()
                str(raised.value).encode()
        assert not Job.objects.exists()

    def test_no_name_of_an_argument_has_it(self, text):
        for function in (tasks.noop, tasks.noop.using(priority=1)):
            with pytest.raises(DbqueueError):
                enqueue(function, **{text: 1})

    def test_no_key_or_value_of_the_context_has_it(self, text):
        for values in ({text: 1}, {"a": text}, {"a": {text: 1}}):
            with pytest.raises(DbqueueError), bind_context(**values):
                pass

    def test_a_failing_job_is_recorded_whatever_it_says(self, text):
        enqueue(tasks.fail_strangely, text.encode("utf-8", "surrogatepass").hex())

        run_jobs(scheduled=True)

        (entry,) = FinishedJob.objects.get().attempt_log
        assert entry["reason"] == "failed"
        assert entry["exception"]
        str(entry).encode()

    def test_a_result_that_has_it_fails_the_job(self, text):
        enqueue(tasks.return_strangely, text.encode("utf-8", "surrogatepass").hex())

        run_jobs()

        (entry,) = FinishedJob.objects.get().attempt_log
        assert "The result" in entry["message"]

    def test_progress_that_has_it_is_written_so(self, text):
        enqueue(tasks.progress_strangely, text.encode("utf-8", "surrogatepass").hex())

        (result,) = run_jobs()

        assert result.state == "SUCCESSFUL"
        assert "\\" in result.progress.message


@pytest.mark.parametrize(
    "option",
    [
        {"priority": float("nan")},
        {"priority": float("inf")},
        {"priority": 10**400},
        {"priority": 1.5},
        {"priority": True},
        {"run_after": timedelta.max},
        {"run_after": timedelta.min},
        {"run_after": datetime.max},
        {"run_after": datetime.min},
        {"run_after": "tomorrow"},
        {"job_id": "x" * 1000},
        {"job_id": "\ud800"},
        {"job_id": 7},
        {"queue_name": 7},
        {"queue_name": ""},
        {"queue_name": b"bytes"},
    ],
    ids=lambda option: ascii(option)[:40],
)
def test_an_option_that_no_column_holds_is_refused_in_words(option):
    with pytest.raises(InvalidTask) as raised:
        enqueue(tasks.noop.using(**option))

    str(raised.value).encode()


@pytest.mark.parametrize(
    "value",
    ["x", 10**5000, float("nan"), None, True, [1]],
    ids=["text", "digits", "nan", "none", "true", "list"],
)
def test_progress_that_is_no_number_fails_the_job(value):
    tasks.PROGRESS["value"] = value
    enqueue(tasks.make_any_progress)

    run_jobs()

    (entry,) = FinishedJob.objects.get().attempt_log
    assert entry["exception"] == "dbqueue.exceptions.InvalidPayload"


def test_a_chosen_id_may_be_any_uuid():
    assert enqueue(tasks.noop.using(job_id=str(uuid4()).upper()))
