"""What the log says of jobs: one line for each end, at the level that it deserves."""

import logging
import traceback
from io import StringIO
from logging.config import dictConfig

import pytest

from dbqueue import JobFilter, bind_context, enqueue
from dbqueue.exceptions import TaskTimeout
from dbqueue.jobs import lines, tracebacks
from dbqueue.maintenance.rescue import held_by, rescue
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.tasks.framework import (
    log_task_finished,
    task_backends,
    task_finished,
)
from dbqueue.testing import run_jobs
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.process.pipes import WakePipe
from tests import tasks
from tests.conformance.framework import LOGGER, task
from tests.support.workers import heard

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(caplog):
    """Return a function that gives the records of dbqueue and of Django's tasks."""
    caplog.set_level(logging.INFO, logger="dbqueue")
    caplog.set_level(logging.INFO, logger=LOGGER)

    def log(*levels):
        names = ("dbqueue", LOGGER)
        return [
            record
            for record in caplog.records
            if record.name.startswith(names) and record.levelname in levels
        ]

    return log


def test_each_end_of_an_attempt_is_one_line_of_the_log(log):
    enqueue(tasks.add, 1, 2)
    enqueue(tasks.fail)

    run_jobs(scheduled=True)

    records = log("INFO", "WARNING", "ERROR")
    ends = [r for r in records if r.name == "dbqueue.jobs.events"]
    assert sorted((r.levelname, r.state) for r in ends) == [
        ("ERROR", "FAILED"),
        ("INFO", "SUCCESSFUL"),
        ("WARNING", "RETRY"),
    ]
    assert {r.levelname for r in records if r not in ends} == {"INFO"}


def lose(worker, times=1):
    """Have the job lost by its worker so many times."""
    for _ in range(times):
        (job,) = worker.claim()
        rescue("default", held_by("default", worker.id))
        Job.objects.update(state=JobState.READY)
    return job


def fail_by_exception(worker):
    return enqueue(tasks.raise_, "ValueError", "no luck")


def fail_by_exit(worker):
    return enqueue(tasks.raise_, "SystemExit", "no luck")


def fail_by_a_result(worker):
    return enqueue(tasks.returns_object)


def fail_by_timeout(worker):
    return enqueue(tasks.aspin)


def fail_by_refusal(worker):
    result = enqueue(tasks.noop)
    Job.objects.update(task="os.system")
    return result


def fail_by_damage(worker):
    result = enqueue(tasks.noop)
    Job.objects.update(args={"not": "a list"})
    return result


def fail_by_loss(worker):
    result = enqueue(tasks.noop)
    lose(worker)
    return result


FAILURES = {
    fail_by_exception: ("ValueError", "no luck"),
    fail_by_exit: ("SystemExit", "no luck"),
    fail_by_a_result: ("InvalidPayload", "which is not JSON"),
    fail_by_timeout: ("TaskTimeout", "longer than 0.2 s"),
    fail_by_refusal: ("TaskNotAllowed", "os.system"),
    fail_by_damage: ("InvalidPayload", "Column 'args'"),
    fail_by_loss: ("WorkerLost", "tests.tasks.noop ran"),
}


@pytest.mark.usefixtures("single_attempt")
@pytest.mark.parametrize("fail", FAILURES)
def test_a_final_failure_is_one_error_with_its_exception(fail, worker, log):
    name, words = FAILURES[fail]

    with heard(task_finished) as ends:
        result = fail(worker)
        run_jobs()

    (record,) = log("ERROR")
    error = record.exc_info[1]
    assert (type(error).__name__, record.state) == (name, "FAILED")
    assert words in str(error)
    assert result.id == record.job_id
    assert result.id in record.getMessage()
    ((sender, told),) = ends
    assert (told.id, told.state) == (result.id, "FAILED")
    assert sender is type(task_backends["default"])
    assert told.errors[-1].exception_class_path.endswith(name)
    assert told.finished_at is not None
    row = FinishedJob.objects.get(pk=result.id)
    assert words in row.attempt_log[-1]["message"]


def test_a_job_whose_task_is_gone_is_announced_by_its_path(worker):
    enqueue(tasks.noop)
    Job.objects.update(task="nowhere.tasks.gone", max_attempts=1)

    with heard(task_finished) as ends:
        lose(worker)

    ((_, told),) = ends
    assert told.task.module_path == "nowhere.tasks.gone"
    assert told.task.name == "gone"


@pytest.mark.django_db(transaction=True)
def test_an_end_that_cannot_be_stored_is_announced_as_the_failure_it_becomes(
    worker, log
):
    enqueue(tasks.noop)
    (job,) = worker.claim()
    completer = Completer(worker.dialect, worker.id, WakePipe())
    completer.accept(job, None)
    outcome = worker.run(job)
    outcome.result = "not JSON, which the database refuses"

    with heard(task_finished) as ends:
        completer.done(job, outcome)
        completer.collect()
        completer.flush()

    assert [record.exc_info[0].__name__ for record in log("ERROR")] == [
        "InvalidPayload"
    ]
    assert [told.state for _, told in ends] == ["FAILED"]


def test_a_retry_is_a_warning_that_says_when(log):
    enqueue(tasks.fail_in_sequence)

    run_jobs()

    (record,) = log("WARNING", "ERROR")
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith(", again in 10 s")
    assert record.exc_info[0] is ValueError


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (0.0, "at once"),
        (0.04, "in 0.04 s"),
        (1.5, "in 1.5 s"),
        (5.0, "in 5 s"),
        (9.96, "in 10 s"),
        (59.7, "in 60 s"),
        (2_000_000.0, "in 2000000 s"),
    ],
)
def test_a_delay_reads_as_people_say_it(delay, words):
    assert lines._when(delay) == words


def test_a_retry_that_the_job_asks_for_is_no_warning(log):
    enqueue(tasks.snooze_until, 2, after=5)

    run_jobs()

    record = log("INFO")[-1]
    assert log("WARNING", "ERROR") == []
    assert record.getMessage().endswith(", again in 5 s")


def test_a_cancel_is_no_error(log):
    enqueue(tasks.cancel)

    with heard(task_finished) as ends:
        run_jobs()

    assert log("WARNING", "ERROR") == []
    assert log("INFO")[-1].state == "CANCELLED"
    assert [told.state for _, told in ends] == ["CANCELLED"]


def test_a_loss_that_is_not_the_last_is_a_warning(worker, log):
    with bind_context(request="r1"):
        enqueue(tasks.noop)

    with heard(task_finished) as ends:
        lose(worker)

    (record,) = log("WARNING", "ERROR")
    assert (record.levelname, record.reason) == ("WARNING", "lost")
    assert record.context == {"request": "r1"}
    assert ends == []


@task
def fail_elsewhere():
    raise ValueError("not ours")


def test_the_end_of_a_job_of_another_backend_is_still_logged_by_the_framework(
    settings, log
):
    immediate = f"{LOGGER}.backends.immediate.ImmediateBackend"
    settings.TASKS = {"default": {"BACKEND": immediate, "QUEUES": []}}

    fail_elsewhere.enqueue()

    (record,) = log("ERROR")
    assert (record.name, record.exc_info[0]) == (LOGGER, ValueError)


def test_who_disconnects_the_line_of_the_framework_disconnects_what_replaced_it():
    try:
        assert task_finished.disconnect(log_task_finished)
        assert not task_finished.disconnect(log_task_finished)
    finally:
        task_finished.connect(log_task_finished)
        lines.replace_djangos()


@pytest.fixture
def written():
    """Return what the project's logger writes in tests.tasks, with dbqueue's filter."""
    stream = StringIO()
    handler = {
        "class": "logging.StreamHandler",
        "stream": stream,
        "filters": ["job"],
        "formatter": "plain",
    }
    text = "%(message)s job=%(job_id)s task=%(task)s %(queue)s %(attempt)s %(context)s"
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"job": {"()": "dbqueue.JobFilter"}},
            "formatters": {"plain": {"format": text}},
            "handlers": {"stream": handler},
            "loggers": {"tests.tasks": {"handlers": ["stream"], "level": "INFO"}},
        }
    )
    yield stream
    logging.getLogger("tests.tasks").handlers.clear()


@pytest.mark.parametrize("speak", [tasks.speak, tasks.aspeak])
def test_a_line_of_any_log_tells_the_job_and_what_is_bound(speak, written):
    with bind_context(request="r1"):
        result = enqueue(speak)
    run_jobs()

    assert written.getvalue() == (
        f"hello job={result.id} task={speak.module_path} default 1 "
        "{'request': 'r1'}\n"
    )


def test_a_line_outside_of_a_job_tells_what_is_bound_there(written):
    with bind_context(request="r1"):
        logging.getLogger("tests.tasks").info("hello")

    assert written.getvalue() == "hello job= task=  0 {'request': 'r1'}\n"


def test_the_filter_lets_what_a_record_says_itself_be(caplog):
    caplog.set_level(logging.INFO, logger="dbqueue")
    caplog.handler.addFilter(only := JobFilter())
    try:
        with bind_context(request="r1"):
            result = enqueue(tasks.noop)
        run_jobs()
    finally:
        caplog.handler.removeFilter(only)

    record = caplog.records[-1]
    assert (record.job_id, record.context) == (result.id, {"request": "r1"})


def frames(text):
    return [line for line in text.splitlines() if line.startswith("  File ")]


@pytest.mark.usefixtures("single_attempt")
@pytest.mark.parametrize("fail", [tasks.fail_in_a_chain, tasks.afail_in_a_chain])
def test_a_traceback_begins_in_the_project(fail, log):
    result = enqueue(fail)

    run_jobs()

    (record,) = log("ERROR")
    logged = logging.Formatter().format(record)
    stored = FinishedJob.objects.get(pk=result.id).attempt_log[-1]["traceback"]
    for text in (logged, stored):
        assert "KeyError: 'missing'" in text
        assert "LookupError: nothing there" in text
        assert [line for line in frames(text) if "/dbqueue/worker/" in line] == []
        assert f'"{tasks.__file__}"' in frames(text)[0]


@pytest.mark.usefixtures("single_attempt")
def test_the_traceback_of_a_timeout_tells_where_an_async_job_was(log):
    enqueue(tasks.aspin)

    run_jobs()

    (record,) = log("ERROR")
    assert record.exc_info[0] is TaskTimeout
    assert "await asyncio.sleep(60)" in logging.Formatter().format(record)


def test_a_mistake_of_ours_keeps_its_frames(worker):
    try:
        worker.finish(None)
    except AttributeError as error:
        tracebacks.fold(error)
        whole = traceback.format_exception(error)

    assert len(whole) > 2


def test_a_loss_beside_others_is_a_warning_too(worker, log):
    enqueue(tasks.noop)
    (job,) = worker.claim()

    rescue("default", held_by("default", worker.id), beside={job.id: 3})

    (record,) = log("WARNING", "ERROR")
    assert (record.levelname, record.state) == ("WARNING", "RETRY")
