"""What is left when a worker dies or freezes, and who goes on with it."""

import os
import signal
import sys
import time
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.functions import Now

from dbqueue import enqueue, enqueue_many
from dbqueue.ids import uuid7
from dbqueue.models import Job, Worker
from dbqueue.worker.loop import alone
from dbqueue.worker.loop.alone import Alone
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.parent.processes import Place
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.run.pool import Pool
from dbqueue.worker.shared import ExitReason
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    ROOT,
    SHORT,
    finished,
    is_stopped,
    on_demand,
    reasons,
    scaled,
    send,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.workers import HandWorker

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dead_childs_job_runs_again_at_once(run_worker, effects, tmp_path, measured):
    leave = tmp_path / "leave"
    job = enqueue(tasks.work_until, "long", str(leave))
    worker = run_worker(settings={"DBQUEUE": {"LEASE": NEVER}})
    (pid,) = {line["pid"] for line in effects.wait_for("began")}

    os.kill(pid, signal.SIGKILL)

    killed = time.monotonic()
    effects.wait_for("began", times=2)
    measured("the job ran again after", time.monotonic() - killed, at_most=1.0)
    leave.touch()
    record = wait_until_finished(job)
    assert (record.attempt, record.failures) == (2, 1)
    assert reasons(record) == ["lost"]
    assert worker.process.poll() is None


def test_a_job_that_kills_its_worker_ends_lost_and_the_others_finish(
    run_worker, effects
):
    poison = enqueue(tasks.kill_itself.using(priority=1), "poison")
    enqueue_many(tasks.note, [(i,) for i in range(20)])
    run_worker("--threads", 1)

    wait_until_empty()

    record = finished().get(pk=poison.id)
    assert (record.state, record.attempt, record.failures) == ("FAILED", 2, 2)
    assert reasons(record) == ["lost", "lost"]
    assert len(effects.all("began", "poison")) == 2
    assert finished(state="SUCCESSFUL", failures=0).count() == 20


@pytest.mark.parametrize(
    "deadly", [tasks.crash, tasks.leave_at_once], ids=["segfault", "os._exit(0)"]
)
def test_a_drain_survives_a_job_that_ends_its_process(deadly, run_worker, effects):
    arguments = ["deadly", 0] if deadly is tasks.leave_at_once else ["deadly"]
    poison = enqueue(deadly.using(priority=1), *arguments)
    enqueue_many(tasks.note, [(i,) for i in range(20)])
    worker = run_worker("--drain", "--threads", 1)

    assert worker.wait() == 0

    # Those that had ended beside it, but were not recorded yet, have run again.
    assert effects.counts("ended").keys() == set(range(20))
    assert finished(state="SUCCESSFUL", failures=0).count() == 20
    record = finished().get(pk=poison.id)
    assert reasons(record) == ["lost", "lost"]
    assert not unfinished().exists()


def test_an_import_that_ends_the_process_costs_its_neighbours_nothing(
    run_worker, effects
):
    poison = enqueue(tasks.work_once.using(priority=-1), "poison", 0)
    Job.objects.update(task="tests.support.deadly.noop")
    others = [enqueue(tasks.note, i) for i in range(3)]
    run_worker("--threads", len(others) + 1)

    record = wait_until_finished(poison)

    assert (record.state, reasons(record)) == ("FAILED", ["lost"])
    wait_until_empty()
    assert effects.counts() == dict.fromkeys(range(3), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == len(others)


@pytest.mark.parametrize(
    ("poison", "innocent"),
    [
        (tasks.crash_once, tasks.once_until),
        (tasks.acrash_once, tasks.aonce_until),
    ],
    ids=["threads", "event loop"],
)
def test_of_jobs_that_are_lost_together_only_the_one_to_blame_fails(
    poison, innocent, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    others = [enqueue(innocent, i, str(leave)) for i in range(3)]
    run_worker("--threads", 4)
    effects.wait_for("began", times=3)

    guilty = enqueue(poison, "poison")

    effects.wait_for("began", "poison")
    leave.touch()
    record = wait_until_finished(guilty)
    assert (record.state, reasons(record)) == ("FAILED", ["released", "lost"])
    assert record.attempt_log[0]["beside"] == 3
    for other in others:
        record = wait_until_finished(other)
        assert (record.state, record.failures) == ("SUCCESSFUL", 0)
        assert reasons(record) == ["released"]


def enqueue_suspect(task, *args):
    """Enqueue a job that looks as if its process had died under it and another."""
    entry = {"attempt": 1, "worker": str(uuid7()), "reason": "released", "beside": 1}
    with transaction.atomic():
        result = enqueue(task, *args)
        Job.objects.filter(pk=result.id).update(attempt=1, attempt_log=[entry])
    return result


def test_nothing_runs_beside_a_job_that_was_lost_with_others(run_worker, effects):
    for i in range(3):
        enqueue_suspect(tasks.work, f"lost {i}", 0.2)
    enqueue_many(tasks.work, [(i, 0.05) for i in range(20)])
    worker = run_worker("--threads", 4, "--drain")

    assert worker.wait() == 0

    running = set()
    for line in effects.all():
        if line["event"] == "ended":
            running.discard(line["key"])
        else:
            running.add(line["key"])
            alone = any(str(key).startswith("lost") for key in running)
            assert len(running) == 1 or not alone, running
    assert finished(state="SUCCESSFUL", failures=0).count() == 23


HASTY = """
import django
django.setup()
from django.core.management import call_command
from dbqueue.worker.loop import alone
alone.PATIENCE, alone.PUT_OFF, alone.ALONE = 0.2, 0.2, 0.5
call_command("runworker", threads=2)
"""


@pytest.fixture
def run_hasty_worker(start):
    return lambda: start([sys.executable, "-c", HASTY], [], PYTHONPATH=ROOT)


def test_a_long_job_that_runs_alone_holds_others_up_for_a_while_only(
    run_hasty_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    long = enqueue_suspect(tasks.work_until, "long", str(leave))
    run_hasty_worker()
    effects.wait_for("began", "long")

    enqueue_many(tasks.note, [(i,) for i in range(5)])

    effects.wait_for("ended", times=5)
    assert len(effects.all("began", "long")) == 1
    leave.touch()
    assert wait_until_finished(long).state == "SUCCESSFUL"


def test_a_job_that_cannot_be_alone_runs_in_the_end_and_holds_nobody_up(
    run_hasty_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    run_hasty_worker()
    effects.wait_for("began", "long")
    lost = enqueue_suspect(tasks.work, "lost", 0.1)

    enqueue_many(tasks.note, [(i,) for i in range(5)])

    effects.wait_for("ended", times=6)
    assert wait_until_finished(lost).state == "SUCCESSFUL"
    leave.touch()
    assert wait_until_finished(long).attempt == 1


def test_a_child_that_died_at_work_is_replaced_at_once_however_often():
    busy, idle = Place(), Place()

    for second in range(3):
        busy.clear(ExitReason.NONE, second, at_work=True)
        idle.clear(ExitReason.NONE, second)

    assert busy.start_at <= second < idle.start_at


def test_a_worker_does_not_give_up_as_its_idle_children_lose_their_leases():
    """As beside keepers that freeze, or a database that is away now and then."""
    place, stillborn = Place(), Place()

    for second in range(10):
        place.clear(ExitReason.ABANDONED, second, worked=False)
        stillborn.clear(ExitReason.NONE, second, worked=False)

    assert not place.is_hopeless
    assert stillborn.is_hopeless


@pytest.fixture
def hold_one_job():
    """Return a worker that runs one job, and what keeps jobs of it apart."""
    worker, begun = HandWorker(), []
    completer = Completer(worker.dialect, worker.id, WakePipe())
    enqueue(tasks.note, "running")
    (running,) = worker.claim()
    completer.accept(running, Pool(1, worker.holder(), None, completer.done))
    return worker, begun, Alone(completer, begun.append, drain=False)


def test_a_child_that_waited_in_vain_for_one_job_does_not_wait_for_the_next(
    hold_one_job, monkeypatch
):
    worker, begun, apart = hold_one_job
    monkeypatch.setattr(alone, "PATIENCE", 0.0)
    for i in range(2):
        enqueue_suspect(tasks.note, i)
    first, second = worker.claim(2)
    apart.accept(first)
    apart.step(leaving=False)

    apart.accept(second)

    assert not apart.is_exclusive()
    assert begun == []


def test_a_job_that_could_not_be_alone_lets_others_begin_beside_it(hold_one_job):
    worker, begun, apart = hold_one_job
    lost = enqueue_suspect(tasks.note, "lost")
    Job.objects.filter(pk=lost.id).update(attempt=10)
    (job,) = worker.claim()

    apart.accept(job)
    apart.step(leaving=False)

    assert begun == [job]
    assert not apart.is_exclusive()


def test_a_job_that_must_run_alone_is_given_back_by_a_worker_that_stops(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    long = enqueue(tasks.work_until, "long", str(leave))
    worker = run_worker("--threads", 2)
    effects.wait_for("began", "long")
    lost = enqueue_suspect(tasks.note, "lost")
    wait_until(lambda: unfinished(pk=lost.id, attempt__gt=1).exists(), "it is claimed")

    worker.tell(signal.SIGTERM)

    wait_until(lambda: unfinished(pk=lost.id, worker_id=None), "it is given back")
    leave.touch()
    assert worker.wait() == 0
    assert wait_until_finished(long).state == "SUCCESSFUL"
    assert not effects.all("ended", "lost")


@pytest.mark.parametrize(
    ("task", "state", "why"),
    [
        (tasks.end_its_thread, "SUCCESSFUL", []),
        (tasks.end_its_loop, "FAILED", ["lost"]),
    ],
    ids=["thread", "event loop"],
)
def test_a_child_whose_thread_has_ended_is_replaced(
    task, state, why, run_worker, effects
):
    rude = enqueue(task, "rude")
    worker = run_worker("--threads", 1)
    (line,) = effects.wait_for("began", "rude")
    record = wait_until_finished(rude)
    pid = line["pid"]
    if task is tasks.end_its_thread:
        # Else it may hit the next job, which contains it, and not the idle thread.
        effects.wait_for("raised", "rude")

    keys = count()

    def still_works():
        enqueue(tasks.note, next(keys))
        enqueue(tasks.awork, next(keys), 0)
        return effects.pids("ended") - {pid}

    wait_until(still_works, "another child works")
    wait_until_empty(worker)
    assert (record.state, reasons(record)) == (state, why)
    assert finished(task=tasks.note.module_path, state="SUCCESSFUL").exists()
    assert not finished(state="FAILED").exclude(pk=rude.id).exists()


VICTIMS = {
    "child": lambda worker: worker.children()[:1],
    "keeper": lambda worker: [pid for pid in [worker.keeper()] if pid],
    "supervisor": lambda worker: [worker.pid],
    "everything": lambda worker: worker.family(),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_all_jobs_finish_after_a_kill(victim, run_worker, effects):
    count = scaled(200, 1000)
    enqueue_many(tasks.work, [(i, (i % 7) / 50) for i in range(count)])
    worker = run_worker("--processes", 2, settings=SHORT)
    effects.wait_for("ended", times=count // 4)
    began = {line["key"] for line in effects.all("began")}
    for pid in wait_until(lambda: VICTIMS[victim](worker), "there is a victim"):
        send(pid, signal.SIGKILL)
    early = {job.pk: job.attempt for job in finished()}
    done = {job.args[0] for job in finished(pk__in=early)}
    second = run_worker("--processes", 2, settings=SHORT)

    wait_until_empty(second)

    began_then = {line["key"] for line in effects.all("began")}
    assert began_then == set(range(count)) >= began
    assert finished(state="SUCCESSFUL").count() == count
    twice = {key for key, times in effects.counts("began").items() if times > 1}
    assert twice.isdisjoint(done)
    # Only what was claimed, and its end not recorded yet, was taken from a worker.
    assert twice <= {job.args[0] for job in finished(attempt__gt=1)}
    assert {job.pk: job.attempt for job in finished(pk__in=early)} == early
    for job in finished(attempt__gt=1):
        attempts = [entry["attempt"] for entry in job.attempt_log]
        assert attempts == sorted(set(attempts))
        assert job.attempt > max(attempts, default=0)


def test_a_frozen_child_loses_its_job_and_goes_when_it_thaws(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    job = enqueue(tasks.work_until, "slow", str(leave))
    first = run_worker(settings=SHORT)
    (pid,) = {line["pid"] for line in effects.wait_for("began")}
    second = run_worker(settings=SHORT)
    second.wait_until_working()
    os.kill(pid, signal.SIGSTOP)
    lines = effects.wait_for("began", times=2)

    os.kill(pid, signal.SIGCONT)

    wait_until(lambda: pid not in first.family(), "the zombie is gone")
    assert not finished().exists()
    leave.touch()
    record = wait_until_finished(job)
    assert lines[1]["pid"] != pid
    assert (record.attempt, reasons(record)) == (2, ["lost"])
    assert str(record.worker_id) != record.attempt_log[0]["worker"]
    assert finished().count() == 1


def test_a_frozen_worker_changes_nothing_when_it_thaws(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    job = enqueue(tasks.work_until, "slow", str(leave))
    first = run_worker(settings=SHORT)
    effects.wait_for("began")
    first.freeze()
    second = run_worker(settings=SHORT)
    effects.wait_for("began", times=2)
    leave.touch()
    record = wait_until_finished(job)
    before = finished().values().get()

    first.tell_all(signal.SIGCONT)

    first.wait_for_output("abandons its jobs")
    effects.wait_for("began", times=2)
    enqueue(tasks.note, "after")
    effects.wait_for("ended", "after")
    assert finished().values().get(pk=job.id) == before
    assert record.attempt == 2
    assert second.process.poll() is None


@on_demand
def test_a_freeze_past_a_heartbeat_and_within_the_lease_costs_nothing(
    run_worker, effects, tmp_path
):
    leave, lease = tmp_path / "leave", 15.0
    job = enqueue(tasks.work_until, "slow", str(leave))
    run_worker(settings={"DBQUEUE": {"LEASE": lease}})
    (pid,) = {line["pid"] for line in effects.wait_for("began")}
    another = run_worker(settings={"DBQUEUE": {"LEASE": lease}})
    another.wait_until_working()
    ours = Worker.objects.filter(pid=pid)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), "it is stopped")

    # For as long as two heartbeats that did not come.
    missed = Now() - timedelta(seconds=lease / 3)
    wait_until(lambda: ours.filter(last_seen__lt=missed).exists(), "two were missed")
    seen = ours.get().last_seen
    os.kill(pid, signal.SIGCONT)

    wait_until(lambda: ours.get().last_seen > seen, "its lease is renewed")
    leave.touch()
    record = wait_until_finished(job)
    assert (record.attempt, record.failures) == (1, 0)
    assert effects.pids("ended") == {pid}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_keeper_that_is_killed_or_stopped_is_replaced(
    number, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    job = enqueue(tasks.work_until, "long", str(leave))
    worker = run_worker()
    effects.wait_for("began")
    keeper = wait_until(worker.keeper, "there is a keeper")

    os.kill(keeper, number)

    wait_until(lambda: worker.keeper() not in (None, keeper), "another keeper works")
    seen = Worker.objects.get().last_seen
    wait_until(lambda: Worker.objects.get().last_seen > seen, "the lease is renewed")
    leave.touch()
    record = wait_until_finished(job)
    assert (record.attempt, record.failures) == (1, 0)


def test_an_atomic_job_that_is_killed_leaves_one_effect(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    job = enqueue(tasks.write_atomically, "row", str(leave))
    run_worker()
    (line,) = effects.wait_for("written")
    os.kill(line["pid"], signal.SIGKILL)
    leave.touch()

    record = wait_until_finished(job)

    assert (record.attempt, record.state) == (2, "SUCCESSFUL")
    assert Group.objects.count() == 1
    assert len(effects.all("written")) == 2


def test_a_frozen_atomic_job_leaves_one_effect(
    run_worker, effects, tmp_path, only_postgres
):
    """On SQLite a frozen writer keeps the whole database."""
    leave = tmp_path / "leave"
    job = enqueue(tasks.write_atomically, "row", str(leave))
    run_worker(settings=SHORT)
    (line,) = effects.wait_for("written")
    run_worker(settings=SHORT)
    os.kill(line["pid"], signal.SIGSTOP)
    wait_until(lambda: is_stopped(line["pid"]), "it is stopped")
    leave.touch()
    wait_until(lambda: finished(attempt=2).exists(), "another finished it")
    os.kill(line["pid"], signal.SIGCONT)
    effects.wait_for("written", times=2)

    record = wait_until_finished(job)

    assert record.attempt == 2
    assert Group.objects.count() == 1


@thorough
def test_a_restarted_worker_takes_over_within_the_lease(run_worker, effects, measured):
    job = enqueue(tasks.work, "slow", 0.5)
    first = run_worker(settings=SHORT)
    effects.wait_for("began")
    first.kill_all()
    killed = time.monotonic()
    run_worker(settings=SHORT)

    effects.wait_for("began", times=2)

    lease = SHORT["DBQUEUE"]["LEASE"]
    what = f"another worker ran the job, with a lease of {lease:.0f} s, after"
    measured(what, time.monotonic() - killed, at_most=lease + 2.0)
    assert reasons(wait_until_finished(job)) == ["lost"]
