"""How a worker stops: TERM, INT, twice, all at once, and when its supervisor dies."""

import os
import signal
import time

import pytest

from dbqueue import enqueue, enqueue_many
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    SHORT,
    finished,
    on_demand,
    reasons,
    scaled,
    thorough,
    unfinished,
    wait_until,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=thorough)]
)
def test_a_stopped_worker_finishes_what_runs_and_takes_nothing_new(
    number, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    running = enqueue(tasks.work_until, "running", str(leave))
    worker = run_worker("--threads", 1, "--grace", NEVER)
    effects.wait_for("began", "running")
    waiting = enqueue(tasks.work, "waiting", 0)

    worker.tell(number)

    worker.wait_for_output("Stopping")
    leave.touch()
    assert worker.wait() == 0
    assert effects.keys("ended") == ["running"]
    assert finished(pk=running.id, state="SUCCESSFUL", attempt=1).exists()
    assert unfinished(pk=waiting.id, state="READY", failures=0).exists()


def test_what_still_runs_after_the_grace_period_is_released_not_failed(
    run_worker, effects, measured
):
    job = enqueue(tasks.work_once, "long", NEVER)
    worker = run_worker("--grace", 0.5)
    effects.wait_for("began", "long")
    told = time.monotonic()

    assert worker.stop() == 0

    took = time.monotonic() - told
    measured("stopped, with a grace period of 0.5 s, within", took, at_most=0.5 + 2.0)
    row = unfinished().get(pk=job.id)
    assert (row.state, row.failures) == ("READY", 0)
    assert reasons(row) == ["released"]


def test_a_second_signal_stops_at_once(run_worker, effects):
    enqueue(tasks.work, "long", NEVER)
    worker = run_worker("--grace", NEVER)
    (line,) = effects.wait_for("began", "long")
    worker.tell(signal.SIGTERM)

    def tell_again():
        """Two signals that follow each other closely are merged into one."""
        worker.tell(signal.SIGTERM)
        return line["pid"] not in worker.family()

    wait_until(tell_again, "the child is gone")
    assert worker.wait() == 0
    assert unfinished(state="READY", failures=0).exists()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=thorough)]
)
def test_a_signal_to_the_whole_group_counts_once(number, run_worker, effects):
    """As systemd sends it by default, and a terminal's Ctrl-C."""
    enqueue(tasks.work, "running", 1.0)
    worker = run_worker("--threads", 1, "--processes", 2)
    effects.wait_for("began", "running")

    os.killpg(worker.pid, number)

    assert worker.wait() == 0
    assert effects.keys("ended") == ["running"]
    assert finished().get().attempt == 1


def test_a_worker_that_is_asked_for_its_stacks_prints_them_and_goes_on(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "running", str(leave))
    worker = run_worker()
    effects.wait_for("began", "running")

    worker.tell(signal.SIGQUIT)

    worker.wait_for_output("in work_until")
    leave.touch()
    wait_until(lambda: finished(attempt=1, attempt_log=[]).exists(), "it finished")
    assert worker.stop() == 0


@on_demand
def test_a_storm_of_signals_releases_what_runs_and_breaks_nothing(run_worker, effects):
    enqueue_many(tasks.work, [(i, NEVER) for i in range(4)])
    worker = run_worker("--threads", 2, "--processes", 2, "--grace", NEVER)
    effects.wait_for("began", times=4)

    while worker.family():
        worker.tell_all(signal.SIGINT)
        worker.process.poll()

    assert worker.wait() == 0
    assert unfinished(state="READY", failures=0).count() == 4
    assert "Traceback" not in worker.output


def test_a_job_that_cannot_be_stopped_is_killed_with_the_worker_but_not_failed(
    run_worker, effects, measured
):
    job = enqueue(tasks.hold_the_gil_unlimited, "gil")
    worker = run_worker("--grace", 0.3)
    effects.wait_for("began", "gil")
    told = time.monotonic()

    assert worker.stop() == 1

    took = time.monotonic() - told
    what = "stopped beside a job that heeds nothing, with 0.3 s, within"
    measured(what, took, at_most=0.3 + 10.0)
    row = unfinished().get(pk=job.id)
    assert (row.state, row.failures) == ("READY", 0)


def test_nothing_runs_twice_or_fails_when_workers_are_stopped_amid_many_jobs(
    run_worker, effects
):
    count = scaled(200, 1000)
    enqueue_many(tasks.work, [(i, i % 10 / 100) for i in range(count)])
    for share in (0.2, 0.5):
        worker = run_worker("--processes", 2)
        effects.wait_for("ended", times=int(count * share))
        assert worker.stop() == 0
    worker = run_worker("--drain", "--processes", 2)

    assert worker.wait() == 0

    assert effects.counts("began") == dict.fromkeys(range(count), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == count
    assert not unfinished().exists()


def test_a_signal_while_children_are_forked_reaches_all(run_worker):
    for _ in range(scaled(1, 10)):
        for count in (2, 4, 6):
            worker = run_worker("--processes", 6, "--grace", NEVER)
            wait_until(lambda: len(worker.below()) >= count, f"{count} are there")  # noqa: B023

            worker.tell(signal.SIGTERM)

            assert worker.wait() == 0


def test_children_and_keeper_leave_when_their_supervisor_is_killed(run_worker, effects):
    enqueue(tasks.work, "running", 1.0)
    worker = run_worker("--processes", 2)
    effects.wait_for("began", "running")
    worker.wait_until_working(2)

    worker.tell(signal.SIGKILL)

    worker.wait_until_gone()
    assert effects.keys("ended") == ["running"]
    assert finished(attempt=1, state="SUCCESSFUL").exists()


def test_a_child_whose_supervisor_was_killed_claims_no_more(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue(tasks.work_until, "running", str(leave))
    worker = run_worker("--threads", 2, "--grace", NEVER)
    effects.wait_for("began", "running")

    worker.tell(signal.SIGKILL)

    worker.wait_for_output("The supervisor has exited")
    ready = enqueue(tasks.note, "ready")
    leave.touch()
    worker.wait_until_gone()
    assert effects.keys("ended") == ["running"]
    assert unfinished(pk=ready.id, state="READY", attempt=0).exists()


def test_all_leave_when_supervisor_and_keeper_are_killed(run_worker, effects):
    job = enqueue(tasks.work, "long", NEVER)
    worker = run_worker(settings=SHORT)
    effects.wait_for("began", "long")
    keeper = wait_until(worker.keeper, "there is a keeper")

    worker.tell(signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)

    worker.wait_until_gone()
    assert unfinished(pk=job.id, state="RUNNING").exists()  # until another looks


@thorough
def test_a_stopped_child_is_replaced(run_worker, effects):
    worker = run_worker()
    (pid,) = worker.wait_until_working()

    os.kill(pid, signal.SIGTERM)

    wait_until(lambda: worker.children() not in ([], [pid]), "another child works")
    enqueue(tasks.note, "after")
    effects.wait_for("ended", "after")
