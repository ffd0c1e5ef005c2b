"""Schedules fired by the keepers of real workers, which are killed and frozen."""

import random
import signal
import time
from datetime import datetime, timedelta

import pytest
from django.db import connection

from dbqueue import Every
from dbqueue.models import FinishedJob, Job, Worker
from dbqueue.schedules.models import Schedule
from tests.support.processes import (
    FAULTS,
    NEVER,
    SHORT,
    on_demand,
    send,
    wait_until,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
# Seconds after its tick in which a job is there, of 99 of 100, on a quiet machine.
PROMISED = {"postgresql": 0.05, "sqlite": 0.15}
# The full size takes five minutes, as long as the issue of it asks for.
COUNT, SECONDS = (200, 300) if FAULTS else (30, 6)


@pytest.fixture
def every_second(witness):
    """Return a function that makes schedules of a second, and returns their starts."""
    witness.looks_away = True  # what keepers enqueue is not heard here

    def make(count):
        made = [
            Schedule.objects.create(
                name=f"s{number}",
                task="tests.tasks.noop",
                cadence=Every(1),
                catch_up="all",
            )
            for number in range(count)
        ]
        return {schedule.name: schedule.next_run_at for schedule in made}

    return make


def fired():
    """Return the ticks of each schedule, and by how many seconds each job was late."""
    ticks, late = {}, []
    for model in (Job, FinishedJob):
        for context, enqueued_at in model.objects.values_list("context", "enqueued_at"):
            told = context["dbqueue.schedule"]
            tick = datetime.fromisoformat(told["scheduled_for"])
            ticks.setdefault(told["name"], []).append(tick)
            late.append((enqueued_at - tick).total_seconds())
    return {name: sorted(found) for name, found in ticks.items()}, sorted(late)


def check_each_once(starts):
    """Fail unless each tick from the first to the last has one job."""
    ends = dict(Schedule.objects.values_list("name", "last_run_at"))
    ticks, _ = fired()
    for name, start in starts.items():
        count = (ends[name] - start) // SECOND + 1
        assert ticks[name] == [start + SECOND * n for n in range(count)], name


def test_each_tick_is_one_job_while_keepers_are_killed_and_frozen(
    every_second, run_worker
):
    chaos = random.Random(7)
    starts = every_second(COUNT)
    workers = [run_worker("--threads", 2, settings=SHORT) for _ in range(3)]
    wait_until(lambda: Worker.objects.count() == 3, "all work")
    began = time.monotonic()
    while time.monotonic() < began + SECONDS:
        worker = chaos.choice(workers)
        keeper = wait_until(worker.keeper, "there is a keeper")
        if chaos.random() < 0.5:
            send(keeper, signal.SIGKILL)
        else:
            send(keeper, signal.SIGSTOP)
        upto = began + min(SECONDS, time.monotonic() - began + chaos.uniform(0.5, 4))
        wait_until(lambda upto=upto: time.monotonic() > upto, "a moment is over", NEVER)
        send(keeper, signal.SIGCONT)
    after = Schedule.objects.order_by("-last_run_at").first().last_run_at

    def all_fired():
        return not Schedule.objects.filter(last_run_at__lt=after).exists()

    wait_until(all_fired, "all have fired what was due")
    Schedule.objects.update(enabled=False)
    wait_until_empty(workers[0], NEVER)

    check_each_once(starts)
    assert FinishedJob.objects.count() >= COUNT * (SECONDS - 3)


@on_demand
def test_jobs_are_there_when_their_ticks_come(every_second, run_worker, measured):
    workers = [run_worker("--threads", 2) for _ in range(3)]
    wait_until(lambda: Worker.objects.count() == 3, "all work")
    starts = every_second(200)
    wait_until(lambda: FinishedJob.objects.count() > 200 * 20, "they were fired", NEVER)
    Schedule.objects.update(enabled=False)
    wait_until_empty(workers[0], NEVER)

    check_each_once(starts)
    _, late = fired()
    promise = PROMISED[connection.vendor]
    measured("lateness of a tick, p99", late[len(late) * 99 // 100], at_most=promise)
    measured("lateness of a tick, p50", late[len(late) // 2])
