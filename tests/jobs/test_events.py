"""Events: each end of an attempt has one signal and one line of the log."""

from asyncio import CancelledError
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from dbqueue import enqueue, enqueue_many, signals
from dbqueue.jobs.events import JobEvent, WorkerEvent
from dbqueue.maintenance import leases
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import Job, Worker
from dbqueue.signals import job_finished
from dbqueue.testing import run_jobs
from tests import tasks
from tests.support.workers import drain

pytestmark = pytest.mark.django_db


@contextmanager
def received():
    """Collect (name of the signal, sender, event) of all signals of dbqueue."""
    calls = []
    receivers = {}
    for name in (
        name for name in vars(signals) if name.startswith(("job_", "worker_"))
    ):

        def receive(sender, event, name=name, **kwargs):
            calls.append((name, sender, event))

        receivers[name] = receive
        getattr(signals, name).connect(receive)
    try:
        yield calls
    finally:
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive)


def names(calls):
    return [name for name, *_ in calls]


def test_a_job_that_succeeds_is_enqueued_started_and_finished():
    with received() as calls:
        result = enqueue(tasks.add, 1, 2)
        run_jobs()

    assert names(calls) == ["job_enqueued", "job_started", "job_finished"]
    assert {sender for _, sender, _ in calls} == {Job}
    for _, _, event in calls:
        assert isinstance(event, JobEvent)
        assert (str(event.id), event.task) == (result.id, "tests.tasks.add")
        assert (event.queue_name, event.reason) == ("default", "")
    assert [event.attempt for _, _, event in calls] == [0, 1, 1]
    assert [e.state for _, _, e in calls] == ["READY", "RUNNING", "SUCCESSFUL"]
    assert calls[-1][2].duration > 0
    assert calls[-1][2].worker_id == calls[1][2].worker_id is not None


def test_each_of_many_jobs_is_announced_when_it_is_enqueued():
    with received() as calls:
        results = enqueue_many(tasks.add, [(1, 2), (3, 4)])

    assert [str(event.id) for _, _, event in calls] == [r.id for r in results]


def test_a_job_that_fails_for_good_was_retried_before():
    with received() as calls:
        enqueue(tasks.fail)
        run_jobs(scheduled=True)

    ends = [call for call in calls if call[0] not in ("job_enqueued", "job_started")]
    assert names(ends) == ["job_retried", "job_finished"]
    retried, finished = (event for _, _, event in ends)
    assert (retried.state, retried.reason) == ("SCHEDULED", "failed")
    assert retried.delay > 0
    assert (finished.state, finished.reason, finished.delay) == ("FAILED", "failed", 0)
    assert all(isinstance(event.error, ValueError) for event in (retried, finished))


def test_a_cancelled_job_is_announced_as_that():
    with received() as calls:
        enqueue(tasks.cancel)
        run_jobs()

    name, _, event = calls[-1]
    assert (name, event.state, event.reason) == (
        "job_cancelled",
        "CANCELLED",
        "cancelled",
    )


def test_a_worker_that_is_lost_and_its_job_are_announced(worker):
    enqueue(tasks.noop)
    worker.claim()
    Worker.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    with received() as calls:
        leases.condemn("default")
        rescue_orphans("default")

    (lost, lost_sender, host), (rescued, _, event) = calls
    assert (lost, lost_sender, rescued) == ("worker_lost", Worker, "job_rescued")
    assert isinstance(host, WorkerEvent)
    assert (host.id, host.name, host.pid) == (worker.id, "hand", 1)
    assert (event.worker_id, event.reason, event.state) == (worker.id, "lost", "READY")


def test_a_job_that_cannot_be_run_is_announced_as_failed():
    enqueue(tasks.noop)
    Job.objects.update(task="os.system")

    with received() as calls:
        run_jobs()

    name, _, event = calls[-1]
    assert (name, event.state, event.reason) == ("job_finished", "FAILED", "failed")
    assert "os.system" in str(event.error)


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_ready_before_its_first_job_and_stops_after_its_last():
    enqueue(tasks.noop)

    with received() as calls:
        drain()

    assert names(calls)[0] == "worker_ready"
    assert names(calls)[-1] == "worker_stopping"
    assert calls[0][2] == calls[-1][2]
    assert calls[0][2].queues == "*"


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, CancelledError])
def test_a_receiver_that_raises_disturbs_nothing(error, quiet):
    def fail(**kwargs):
        raise error("a receiver's own mistake")

    every = [getattr(signals, name) for name in vars(signals) if name.startswith("job")]
    for signal in every:
        signal.connect(fail)
    try:
        result = enqueue(tasks.add, 1, 2)
        run_jobs()
    finally:
        for signal in every:
            signal.disconnect(fail)

    result.refresh()
    assert (result.state, result.return_value) == ("SUCCESSFUL", 3)


def test_an_async_receiver_does_not_fail_an_async_job(quiet):
    async def receive(**kwargs): ...

    job_finished.connect(receive)
    try:
        result = enqueue(tasks.aadd, 1, 2)
        run_jobs()
    finally:
        job_finished.disconnect(receive)

    result.refresh()
    assert (result.state, result.return_value) == ("SUCCESSFUL", 3)
