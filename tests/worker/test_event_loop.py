"""The event loop of a child: no job ends it, and receivers are not called on it."""

import asyncio
import sys
from contextlib import contextmanager

import pytest
from django.contrib.auth.models import Group

from dbqueue import bind_context, current_context, enqueue, signals
from dbqueue.models import FinishedJob
from dbqueue.tasks.framework import task_finished, task_started
from dbqueue.testing import run_jobs
from tests import tasks as plain_tasks
from tests.support import context_tasks as tasks
from tests.support.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)

SENT = {
    "task_started": (task_started, plain_tasks.aadd),
    "task_finished": (task_finished, plain_tasks.aadd),
    "job_started": (signals.job_started, plain_tasks.aadd),
    "job_finished": (signals.job_finished, plain_tasks.aadd),
    "job_retried": (signals.job_retried, plain_tasks.afail),
    "job_cancelled": (signals.job_cancelled, plain_tasks.acancel),
}


@contextmanager
def connected(signal, receiver):
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)


def write_a_group(**kwargs):
    Group.objects.create(name="heard")


async def write_a_group_async(**kwargs):
    await Group.objects.acreate(name="heard")


def drain_inline(**kwargs):
    run_jobs()


@pytest.mark.parametrize(
    ("task", "state"),
    [
        (tasks.exit_in_subtask, "SUCCESSFUL"),
        (tasks.interrupt_in_subtask, "FAILED"),
        (tasks.exit_in_callback, "SUCCESSFUL"),
        (tasks.stop_the_loop, "SUCCESSFUL"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_job_that_ends_its_event_loop_ends_alone(task, state, quiet):
    rude = enqueue(task)
    beside = enqueue(tasks.wait_a_little, 0.4)
    after = [enqueue(plain_tasks.aadd.using(priority=-1), 1, i) for i in range(3)]

    drain()

    for result in (rude, beside, *after):
        result.refresh()
    assert (rude.state, rude.attempts) == (state, 1)
    assert [r.state for r in (beside, *after)] == ["SUCCESSFUL"] * 4
    assert beside.attempts == 1


@pytest.mark.parametrize("receiver", [write_a_group, write_a_group_async])
@pytest.mark.parametrize("run", [drain, drain_inline])
@pytest.mark.parametrize("name", SENT)
def test_receivers_of_an_async_job_may_use_the_orm(name, run, receiver):
    signal, task = SENT[name]
    enqueue(task, *([1, 2] if task is plain_tasks.aadd else []))

    with connected(signal, receiver):
        run(threads=1)

    assert Group.objects.filter(name="heard").count() == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("signal", [task_started, task_finished])
def test_a_receiver_that_raises_costs_no_async_job_its_end(signal, error, quiet):
    def fail(**kwargs):
        raise error("a receiver's own mistake")

    async def afail(**kwargs):
        fail()

    job = enqueue(plain_tasks.aadd, 1, 2)
    beside = enqueue(tasks.wait_a_little, 0.2)

    with connected(signal, fail), connected(signal, afail):
        drain()

    for result in (job, beside):
        result.refresh()
        assert (result.state, result.attempts) == ("SUCCESSFUL", 1)


def test_receivers_of_an_async_job_see_the_exception_that_it_failed_with():
    seen = []

    def look(event, **kwargs):
        seen.append(sys.exc_info()[1])

    enqueue(plain_tasks.afail)

    with connected(signals.job_retried, look):
        drain()

    assert [type(error) for error in seen] == [ValueError]
    assert FinishedJob.objects.count() == 0


def test_what_a_job_brought_along_is_bound_for_its_receivers_and_its_function():
    seen = []

    def look(**kwargs):
        seen.append(current_context())

    with bind_context(trace="t"):
        result = enqueue(plain_tasks.atell_context)

    with connected(task_finished, look):
        drain()

    result.refresh()
    assert seen == [{"trace": "t"}]
    assert result.return_value == {"trace": "t"}
