"""Celery's signals, and what is asked of workers."""

import logging
import traceback
from uuid import uuid4

import pytest
from django.test import override_settings

from dbqueue import signals as ours
from dbqueue.compat.celery import bootsteps, signals
from dbqueue.compat.celery.result import AsyncResult
from dbqueue.jobs import events
from dbqueue.jobs.facts import JobEvent, WorkerEvent
from dbqueue.models import Job, Worker
from dbqueue.testing import run_jobs
from tests.compat import celery_tasks as tasks
from tests.compat.tables import shows
from tests.compat.test_celery import EAGER, ran
from tests.support.processes import once
from tests.support.workers import HandWorker

pytestmark = [pytest.mark.django_db, once]


@pytest.fixture
def heard():
    """Note which signals are sent, with what they say."""
    found, connected = [], []

    def listen(*names, sender=None):
        for name in names:

            def note(name=name, **told):
                found.append((name, told))

            signal = getattr(signals, name)
            signal.connect(note, sender=sender, weak=False)
            connected.append((signal, note, sender))
        return found

    yield listen
    for signal, note, sender in connected:
        signal.disconnect(note, sender=sender)


def begins_in_the_project(text):
    """Tell whether no frame of ours stands above those of the project."""
    frames = [line for line in text.splitlines() if line.startswith("  File ")]
    return "celery_tasks.py" in frames[0] and len(frames) == 1


RUN = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")


class TestATraceback:
    @pytest.mark.parametrize(
        "call", [lambda: tasks.fail.delay("bad"), lambda: tasks.hooked.delay("fail")]
    )
    def test_begins_in_the_project(self, call, heard, caplog):
        found = heard("task_failure")
        result = ran(call())

        ((_, told),) = found
        (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
        logged = logging.Formatter().formatException(record.exc_info)
        for text in (
            result.traceback,
            logged,
            str(told["einfo"]),
            "".join(traceback.format_tb(told["traceback"])),
        ):
            assert begins_in_the_project(text), text

    def test_begins_in_the_project_if_the_task_was_run_at_once(self):
        with EAGER:
            assert begins_in_the_project(tasks.fail.delay("bad").traceback)

    def test_of_a_retry_too_many_has_what_raised_it(self):
        text = ran(tasks.stubborn.delay(9)).traceback

        assert "celery_tasks.py" in text.splitlines()[1]
        assert text.endswith("ValueError: not yet\n")


class TestSignals:
    @shows(
        "task_prerun",
        "task_postrun",
        "task_success",
        "task_failure",
        "task_retry",
        "task_revoked",
    )
    def test_of_a_run_come_in_celerys_order(self, heard):
        found = heard(*RUN)

        ran(tasks.add.delay(1))
        ran(tasks.fail.delay("bad"))
        ran(tasks.stubborn.delay(1))

        assert [name for name, _ in found] == [
            *("task_prerun", "task_success", "task_postrun"),
            *("task_prerun", "task_failure", "task_postrun"),
            *("task_prerun", "task_retry", "task_postrun"),
            *("task_prerun", "task_success", "task_postrun"),
        ]

    def test_say_what_celerys_say(self, heard):
        found = heard(*RUN)

        id = ran(tasks.fail.delay("bad")).id

        first, failure, last = (told for _, told in found)
        assert (first["sender"], first["task_id"], first["args"]) == (
            *(tasks.fail, id, ["bad"]),
        )
        assert str(failure["exception"]) == "bad"
        assert "ValueError: bad" in str(failure["einfo"])
        assert (last["state"], str(last["retval"])) == ("FAILURE", "bad")

    def test_are_sent_in_eager_mode_and_for_one_sender(self, heard):
        found = heard("task_success", sender=tasks.add)

        with EAGER:
            tasks.add.delay(1)
            tasks.named.delay()

        assert [told["result"] for _, told in found] == [2]

    def test_a_receiver_is_a_decorator_and_disturbs_nothing(self):
        @signals.task_prerun.connect
        def broken(**kwargs):
            raise ValueError("a receiver")

        @signals.task_prerun.connect(sender=tasks.fail)
        def other(**kwargs): ...

        try:
            assert ran(tasks.add.delay(1)).result == 2
        finally:
            signals.task_prerun.disconnect(broken)
            signals.task_prerun.disconnect(other, sender=tasks.fail)

    @shows(
        "before_task_publish",
        "after_task_publish",
        how="What a receiver adds to the headers goes along.",
    )
    def test_of_a_publisher_may_add_headers(self, heard):
        after = heard("after_task_publish", sender=tasks.tells.name)

        @signals.before_task_publish.connect(sender=tasks.tells.name)
        def add(headers, body, **kwargs):
            headers["trace"] = "t2"

        try:
            found = ran(tasks.tells.delay())
        finally:
            signals.before_task_publish.disconnect(add, sender=tasks.tells.name)

        assert found.result[2] == "t2"
        assert after[0][1]["headers"]["id"] == found.id

    def test_a_revoked_task_is_told(self, heard, django_capture_on_commit_callbacks):
        found = heard("task_revoked")

        with django_capture_on_commit_callbacks(execute=True):
            id = tasks.add.delay(1).id
            AsyncResult(id).revoke()

        ((_, told),) = found
        assert (told["sender"], told["request"].id, told["expired"]) == (
            *(tasks.add, id, False),
        )

    @shows(
        "worker_init",
        "worker_ready",
        "worker_process_init",
        "worker_shutdown",
        "worker_shutting_down",
        "worker_process_shutdown",
        "setup_logging",
        status="differs",
        how="Each is sent in every process that runs tasks.",
    )
    def test_a_worker_says_that_it_is_ready_and_stops(self, heard):
        found = heard("worker_ready", "worker_process_init", "worker_shutdown")
        event = WorkerEvent.of_this_process(uuid4(), "w", "*")

        events.worker_ready(event)
        events.worker_stopping(event)

        assert [name for name, _ in found] == [
            *("worker_process_init", "worker_ready", "worker_shutdown"),
        ]

    def test_a_task_that_failed_with_its_worker_is_told(self, heard):
        found = heard("task_failure")
        tasks.heard.clear()
        event = JobEvent(
            id=uuid4(),
            task=tasks.add.path,
            queue_name="default",
            attempt=3,
            state="FAILED",
            reason="lost",
        )

        events.deliver(ours.job_rescued, Job, event=event)

        ((_, told),) = found
        assert (told["sender"], told["task_id"]) == (tasks.add, str(event.id))

    @shows(
        "heartbeat_sent",
        "task_received",
        "beat_init",
        status="ignored",
        how="They are never sent; connecting logs it.",
        about="and others",
    )
    def test_one_that_is_never_sent_says_so(self, caplog):
        signals.heartbeat_sent.connect(print)

        assert "never sends heartbeat_sent" in caplog.text
        with pytest.raises(AttributeError, match="no signal 'task_begins'"):
            signals.task_begins  # noqa: B018


@pytest.fixture
def alive(worker):
    return Worker.objects.get()


class TestControl:
    @shows(
        "control.inspect()",
        "ping",
        "active",
        "scheduled",
        "reserved",
        "registered",
        "stats",
        "active_queues",
        "revoked",
        "query_task",
        status="differs",
        how="Asked of the database. What waits is of no worker: the first "
        "by name has it.",
    )
    def test_a_worker_answers(self, alive):
        inspect = tasks.app.control.inspect()

        assert inspect.ping() == {alive.name: {"ok": "pong"}}
        assert tasks.app.control.ping() == [{alive.name: {"ok": "pong"}}]
        assert tasks.add.name in inspect.registered()[alive.name]
        assert inspect.stats()[alive.name]["pid"] == alive.pid
        assert inspect.active_queues()[alive.name]
        assert tasks.app.control.inspect([alive.name]).ping()
        assert tasks.app.control.inspect(["another"]).ping() is None

    def test_nobody_answers_where_nobody_lives(self):
        assert tasks.app.control.inspect().ping() is None
        assert tasks.app.control.ping() == []

    def test_what_runs_and_waits_is_told(self, worker, alive):
        running = tasks.add.apply_async((1,), task_id="order-1")
        worker.claim()
        later = tasks.add.apply_async((2,), countdown=60)
        inspect = tasks.app.control.inspect()

        (active,) = inspect.active()[alive.name]
        assert (active["id"], active["name"], active["args"]) == (
            *(running.id, tasks.add.name, [1]),
        )
        (scheduled,) = inspect.scheduled()[alive.name]
        assert scheduled["request"]["id"] == later.id
        assert inspect.query_task("order-1")[alive.name]["order-1"][0] == "active"
        assert inspect.stats()[alive.name]["total"] == {tasks.add.name: 1}

    def test_tasks_are_revoked_by_their_ids(self):
        ids = [tasks.add.delay(1).id, tasks.add.apply_async((1,), task_id="mine").id]

        tasks.app.control.revoke(ids, terminate=True, signal="SIGKILL")

        assert {AsyncResult(id).state for id in ids} == {"REVOKED"}

    @shows(
        "control.ping",
        "revoke",
        "terminate",
        "purge",
        "shutdown",
        how="`purge` cancels what waits.",
    )
    def test_what_waits_is_purged(self):
        tasks.add.delay(1)
        assert tasks.app.control.purge() == 1

    def test_processes_of_an_engine_are_not_asked_to_stop(self, worker, alive):
        engine = HandWorker()
        rows = Worker.objects.filter(pk=engine.id)
        rows.update(name="engine h:1", facts={"kind": "engine"})

        tasks.app.control.shutdown()

        assert Worker.objects.get(pk=alive.pk).asked == "stop"
        assert rows.get().asked is None
        with pytest.raises(NotImplementedError, match="Stop processes of an engine"):
            tasks.app.control.shutdown("engine h:1")

    def test_a_rate_is_changed_while_tasks_run(self):
        tasks.seldom.delay()
        tasks.app.control.rate_limit("tests.compat.celery_tasks.seldom", "100/s")
        run_jobs()

    @shows(
        "control.broadcast",
        "add_consumer",
        "cancel_consumer",
        "pool_grow",
        "app.connection()",
        "app.steps",
        status="refused",
        how="Each says what to do.",
        about="bootsteps",
    )
    @pytest.mark.parametrize(
        "ask",
        [
            lambda control: control.broadcast("x"),
            lambda control: control.add_consumer("mail"),
            lambda control: control.cancel_consumer("mail"),
            lambda control: control.pool_grow(1),
            lambda control: control.time_limit("x", 1),
            lambda control: control.inspect().objgraph(),
            lambda control: bootsteps.StartStopStep,
            lambda control: tasks.app.steps["worker"],
            lambda control: tasks.app.worker_main(),
            lambda control: tasks.app.connection(),
            lambda control: tasks.app.events.State(),
            lambda control: tasks.app.GroupResult,
        ],
    )
    def test_what_there_is_not_is_refused_in_words(self, ask):
        with pytest.raises(NotImplementedError, match="not supported by dbqueue"):
            ask(tasks.app.control)
        assert not hasattr(tasks.app, "nothing_of_celerys")


@shows(
    "CELERY_TASK_ROUTES",
    "CELERY_TASK_ANNOTATIONS",
    how="Of a route, the queue and the priority.",
)
@override_settings(CELERY_TASK_ROUTES={"tests.compat.*": {"queue": "routed"}})
def test_routes_choose_the_queue_unless_the_call_does():
    first, second = tasks.add.delay(1), tasks.add.apply_async((1,), queue="mine")

    queues = dict(Job.objects.values_list("pk", "queue_name"))
    assert [queues[type(next(iter(queues)))(r.id)] for r in (first, second)] == [
        *("routed", "mine"),
    ]
