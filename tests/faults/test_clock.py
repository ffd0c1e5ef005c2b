"""A host whose clock is an hour off, or that steps, while the database's is right."""

import time
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from dbqueue import Every
from dbqueue.models import FinishedJob, Worker
from dbqueue.schedules.models import Schedule
from tests.faults.clock import LIBRARIES, Clock
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    on_demand,
    scaled,
    thorough,
    wait_until,
    wait_until_empty,
)
from tests.support.worker_fixtures import busyness

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = [pytest.mark.django_db(transaction=True), on_demand]

LEASE = 3.0  # seconds, on a machine that does nothing else


@pytest.fixture
def clock(tmp_path):
    if not LIBRARIES:
        pytest.skip("NOT TESTED: clocks that are wrong. Install Debian's libfaketime.")
    return Clock(tmp_path)


@pytest.fixture
def short():
    """Return settings with a lease that the machine can hold now, beside its work."""
    busy = max(1.0, *(busyness() for _ in range(5)))
    return {"DBQUEUE": {"LEASE": LEASE * busy}}


@pytest.mark.parametrize("offset", ["+3600", "-3600"])
def test_a_worker_whose_clock_is_an_hour_off_is_on_time(
    offset, only_postgres, clock, short, run_worker, jobs, effects, measured
):
    clock.step_to(offset)
    jobs.one(tasks.work, "long", 2 * short["DBQUEUE"]["LEASE"])
    worker = run_worker(settings=short, **clock.environment)
    effects.wait_for("began", "long")
    true = run_worker(settings=short)
    true.wait_until_working()
    delay = 1.0
    enqueued = time.monotonic()
    # The log of effects has the clock of whoever ran the job, so we ask our own.
    later = tasks.note.using(run_after=timedelta(seconds=delay))
    jobs.one(later, "later")

    effects.wait_for("ended", "later")

    late = time.monotonic() - enqueued - delay
    measured("a scheduled job began, at most, late by", late, at_most=3.0)
    assert late > -0.05
    jobs.drained(worker)
    assert effects.counts("began") == {"long": 1}
    assert finished(failures=0).count() == 2


def test_steps_of_a_hosts_clock_disturb_nothing(
    only_postgres, clock, short, run_worker, jobs, effects
):
    count = scaled(100, 1000)
    jobs.many(tasks.work, [(i, 0.03) for i in range(count)])
    worker = run_worker(settings=short, **clock.environment)
    true = run_worker(settings=short)
    for share, offset in enumerate(("+3600", "-7200", "+120", "-120", "+0"), 1):
        effects.wait_for("ended", times=count * share // 6)
        clock.step_to(offset)

    wait_until_empty(worker)

    jobs.check(at_rest=True)
    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert finished(failures=0).count() == count
    assert "lost" not in (worker.output + true.output)


@thorough
@pytest.mark.parametrize("offset", ["+3600", "-3600"])
def test_a_step_of_the_databases_clock_is_got_over(
    offset, only_sqlite, clock, short, run_worker, jobs, effects, measured
):
    """SQLite's clock is its host's: all workers see the step, and so do the leases."""
    count = scaled(100, 400)
    jobs.many(tasks.work, [(i, 0.03) for i in range(count)])
    workers = [run_worker(settings=short, **clock.environment) for _ in range(2)]
    effects.wait_for("ended", times=count // 3)

    clock.step_to(offset)

    wait_until_empty(workers[0])
    jobs.check(at_rest=True)
    assert set(effects.counts("ended")) == set(range(count))
    again = sum(effects.counts("began").values()) - count
    measured(f"ran again after a step of {offset} s", again, "jobs")
    assert again <= 2 * 4
    wait_until(lambda: Worker.objects.count() == 2, "both work again")


def test_a_clock_put_forward_makes_schedules_catch_up_and_put_back_fires_nothing_twice(
    only_sqlite, clock, short, run_worker, witness
):
    witness.looks_away = True  # what keepers enqueue is not heard here
    half_past = Every(3600, offset=int(time.time() - 1800) % 3600)
    for catch_up in ("none", "last", "all"):
        make_schedule(catch_up, half_past, catch_up=catch_up)
    worker = run_worker(settings=short, **clock.environment)
    worker.wait_until_working()

    clock.step_to("+86400")
    tomorrow = timezone.now() + timedelta(hours=23)
    rows = Schedule.objects.filter(next_run_at__lt=tomorrow)
    wait_until(lambda: not rows.exists(), "all are planned anew")
    assert runs_of_schedules() == {"none": 0, "last": 1, "all": 24}
    clock.step_to("+0")
    make_schedule("seconds", Every(1))
    wait_until(lambda: runs_of_schedules()["seconds"] > 2, "others are fired again")
    Schedule.objects.update(enabled=False)
    wait_until_empty(worker)

    ticks = Counter(
        (told["name"], told["scheduled_for"])
        for context in FinishedJob.objects.values_list("context", flat=True)
        if (told := context["dbqueue.schedule"])
    )
    assert set(ticks.values()) == {1}
    fired = Counter(name for name, _ in ticks)
    assert (fired["none"], fired["last"], fired["all"]) == (0, 1, 24)


def make_schedule(name, cadence, **values):
    path = "tests.tasks.noop"
    return Schedule.objects.create(name=name, task=path, cadence=cadence, **values)


def runs_of_schedules():
    return dict(Schedule.objects.values_list("name", "runs"))
