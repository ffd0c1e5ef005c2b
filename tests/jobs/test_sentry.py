"""What Sentry gets of a job that failed: one event, which it groups by the task."""

import pytest
import sentry_sdk
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.transport import Transport

from dbqueue import bind_context, enqueue
from dbqueue.maintenance.rescue import held_by, rescue
from dbqueue.tasks.framework import Task as BaseTask
from dbqueue.testing import run_jobs
from tests import tasks

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("single_attempt")]


class Kept(Transport):
    """Keeps the events that would be sent."""

    def __init__(self):
        super().__init__()
        self.events = []

    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)


@pytest.fixture
def events(monkeypatch):
    """Return the list of events that Sentry was sent, with its usual set-up."""
    # It replaces the method for good; other tests look at who called it.
    monkeypatch.setattr(BaseTask, "enqueue", BaseTask.enqueue)
    kept = Kept()
    client = sentry_sdk.get_client()
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="https://key@example.invalid/1",
            transport=kept,
            integrations=[DjangoIntegration()],
        )
        yield kept.events
        sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(client)


def culprit(event):
    """Return what Sentry groups the event by: the exception and where it began."""
    (exception,) = event["exception"]["values"][-1:]
    frames = exception.get("stacktrace", {}).get("frames")
    first = frames[0]["function"] if frames else exception["value"]
    return exception["type"], first


@pytest.mark.parametrize("fail", [tasks.fail_in_a_chain, tasks.afail_in_a_chain])
def test_a_failure_is_one_event_that_begins_with_its_task(events, fail):
    with bind_context(request="r1"):
        result = enqueue(fail)
    enqueue(tasks.cancel)
    enqueue(tasks.add, 1, 2)

    run_jobs()

    (event,) = events
    assert culprit(event) == ("LookupError", fail.name)
    assert event["level"] == "error"
    assert event["extra"]["job_id"] == result.id
    assert event["extra"]["task"] == fail.module_path
    assert event["extra"]["context"] == {"request": "r1"}


def test_a_lost_job_is_one_event_that_names_its_task_and_nothing_else(events, worker):
    for task in (tasks.noop, tasks.noop, tasks.speak):
        enqueue(task)
        worker.claim()
        rescue("default", held_by("default", worker.id))

    first, second, other = map(culprit, events)
    assert first == second
    assert first[0] == "WorkerLost"
    assert other[1] == first[1].replace("tests.tasks.noop", "tests.tasks.speak")
