"""Limits of real workers: their notices, their prefetch, their deaths."""

import signal

import pytest

from dbqueue import enqueue_many
from dbqueue.models import FinishedJob
from tests.support import limited_tasks as limited
from tests.support.processes import send, wait_until_empty

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def most_at_once(effects, lane):
    """Return how many jobs of the lane ran at once, by what they have left."""
    running = most = 0
    of_lane = [line for line in effects.all() if line["key"].startswith(lane)]
    lines = sorted(of_lane, key=lambda line: line["at"])
    for line in lines:
        running += 1 if line["event"] == "began" else -1
        most = max(most, running)
    return most


def test_workers_run_no_more_jobs_of_a_lane_at_once_than_its_limit(run_worker, effects):
    worker = run_worker("--processes", 2, "--threads", 4)
    worker.wait_until_working(2)

    enqueue_many(
        limited.busy, [(f"{lane}{n}", 0.02) for lane in "ab" for n in range(15)]
    )
    wait_until_empty(worker)

    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 30
    assert [most_at_once(effects, lane) for lane in "ab"] == [2, 2]


def test_a_lane_goes_on_after_the_death_of_who_held_it(run_worker, effects):
    worker = run_worker("--processes", 2, "--threads", 2)
    worker.wait_until_working(2)
    enqueue_many(limited.busy, [(f"a{n}", 0.3) for n in range(6)])
    began = effects.wait_for("began")[0]

    send(began["pid"], signal.SIGKILL)

    wait_until_empty(worker)
    assert len(effects.counts()) == 6


def test_a_worker_that_drains_works_off_lanes_too(run_worker, effects):
    enqueue_many(limited.busy, [(f"a{n}", 0.0) for n in range(7)])

    assert run_worker("--drain", "--threads", 1).wait() == 0

    assert effects.counts() == {f"a{n}": 1 for n in range(7)}
