"""When jobs run: on time, in order, again after a failure, and from which queues."""

import time
from datetime import timedelta
from itertools import pairwise
from random import Random

import pytest
from django.db import transaction

from dbqueue import dialects, enqueue, enqueue_many
from dbqueue.jobs.wakeup import WINDOW
from dbqueue.models import Job, Worker
from dbqueue.worker.loop.polling import Polling
from dbqueue.worker.shared import make_children
from tests.support import invariants
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    finished,
    reasons,
    scaled,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def in_seconds(seconds):
    return timedelta(seconds=seconds)


def test_a_delayed_job_runs_on_time(run_worker, effects):
    poll = NEVER
    worker = run_worker(settings={"DBQUEUE": {"POLL_INTERVAL": poll}})
    worker.wait_until_working()
    delays = {"soon": 0.5, "later": 1.2, "now": 0}
    due = {key: time.time() + seconds for key, seconds in delays.items()}
    for key, seconds in delays.items():
        enqueue(tasks.note.using(run_after=in_seconds(seconds)), key)

    lines = effects.wait_for("ended", times=3)

    for line in lines:
        late = line["at"] - due[line["key"]]
        assert 0 <= late < poll, line


@thorough
def test_many_delayed_jobs_that_are_due_together_all_run(run_worker, effects):
    due = time.time() + 1.5
    enqueue_many(
        tasks.note.using(run_after=in_seconds(1.5)), [(i,) for i in range(1500)]
    )
    run_worker()

    lines = effects.wait_for("ended", times=1500)

    assert min(line["at"] for line in lines) >= due
    assert effects.counts() == dict.fromkeys(range(1500), 1)


@thorough
def test_a_delayed_job_that_came_due_while_no_worker_ran_is_run(run_worker, effects):
    enqueue(tasks.note.using(run_after=in_seconds(0.05)), "late")
    wait_until(lambda: Job.objects.get().run_after.timestamp() < time.time(), "due")
    worker = run_worker("--drain")

    assert worker.wait() == 0

    assert effects.keys() == ["late"]


def test_a_failed_job_runs_again_after_its_backoff_and_then_fails(run_worker, effects):
    job = enqueue(tasks.fail, "bad")
    run_worker()

    record = wait_until_finished(job)

    moments = [line["at"] for line in effects.all("began")]
    pauses = [b - a for a, b in pairwise(moments)]
    assert len(moments) == 3
    assert min(pauses) >= 0.5
    assert (record.state, record.failures) == ("FAILED", 3)
    assert reasons(record) == ["failed"] * 3


@thorough
def test_a_job_that_fails_twice_succeeds_at_the_third_attempt(
    run_worker, effects, tmp_path
):
    job = enqueue(tasks.fail_twice, "third time", str(tmp_path / "tries"))
    run_worker()

    record = wait_until_finished(job)

    assert (record.state, record.attempt, record.failures) == ("SUCCESSFUL", 3, 2)


def test_one_thread_drains_by_priority_then_by_age(run_worker, effects):
    order = [0, 5, -5, 5, 0, 100, -100]
    for i, priority in enumerate(order):
        enqueue(tasks.note.using(priority=priority), i)
    worker = run_worker("--drain", "--threads", 1)

    assert worker.wait() == 0

    assert effects.keys() == sorted(range(7), key=lambda i: (-order[i], i))


def test_queues_are_emptied_in_the_order_given(run_worker, effects):
    for i in range(5):
        enqueue(tasks.note.using(queue_name="low", priority=100), f"low {i}")
        enqueue(tasks.note.using(queue_name="mail-in"), f"mail {i}")
        enqueue(tasks.note.using(queue_name="high"), f"high {i}")
        enqueue(tasks.note.using(queue_name="unserved"), f"unserved {i}")
    worker = run_worker("--drain", "--threads", 1, "--queues", "high,mail-*,low")

    assert worker.wait() == 0

    names = ("high", "mail", "low")
    assert effects.keys() == [f"{name} {i}" for name in names for i in range(5)]
    assert unfinished(queue_name="unserved", state="READY", attempt=0).count() == 5


def test_priorities_hold_across_queues_that_are_served_alike(run_worker, effects):
    for i in range(6):
        queue = f"q{i % 3}"
        enqueue(tasks.note.using(queue_name=queue, priority=i % 2), i)
    worker = run_worker("--drain", "--threads", 1)

    assert worker.wait() == 0

    assert [key % 2 for key in effects.keys()] == [1, 1, 1, 0, 0, 0]  # noqa: SIM118


@pytest.mark.parametrize("served", ["a,b,c", "b,a,c", "*"])
def test_hundreds_of_jobs_of_any_queue_and_priority_begin_in_their_order(
    served, run_worker, effects
):
    chance, count = Random(served), scaled(200, 2000)
    for i in range(count):
        queue, priority = chance.choice("abc"), chance.choice([0, 0, 0, 5, -5, 100])
        enqueue(tasks.note.using(queue_name=queue, priority=priority), i)
    worker = run_worker("--drain", "--threads", 1, "--queues", served)

    assert worker.wait() == 0

    groups = ["abc"] if served == "*" else served.split(",")
    jobs = list(finished())
    assert len(jobs) == count
    # Of queues that are served alike, only priorities have an order.
    keys = effects.keys()
    if served == "*":
        priorities = {job.args[0]: job.priority for job in jobs}
        assert keys == sorted(keys, key=lambda key: -priorities[key])
    for queue in [*"abc"] if served == "*" else [""]:
        own = [job for job in jobs if job.queue_name == queue or not queue]
        assert list(invariants.in_order(own, effects, groups)) == []


@thorough
def test_excluded_queues_are_left_out(run_worker, effects):
    for queue in ("mail-in", "mail-out", "web"):
        enqueue(tasks.note.using(queue_name=queue), queue)
    worker = run_worker("--drain", "--exclude", "mail-*")

    assert worker.wait() == 0

    assert effects.keys() == ["web"]
    assert unfinished(state="READY").count() == 2


@thorough
def test_a_new_high_priority_overtakes_a_backlog(run_worker, effects):
    enqueue_many(tasks.work, [(i, 0.02) for i in range(300)])
    run_worker("--threads", 1)
    effects.wait_for("ended", times=10)

    enqueue(tasks.note.using(priority=50), "urgent")
    before = len(effects.all("ended"))

    effects.wait_for("ended", "urgent")
    assert effects.keys().index("urgent") < before + 100


def test_a_drain_leaves_what_is_not_due_and_what_it_cannot_import(run_worker, effects):
    later = enqueue(tasks.note.using(run_after=timedelta(hours=1)), "later")
    unknown = enqueue(tasks.note, "unknown")
    Job.objects.filter(pk=unknown.id).update(
        task="tests.support.worker_tasks.not_written_yet"
    )
    enqueue_many(tasks.note, [(i,) for i in range(20)])
    worker = run_worker("--drain", "--processes", 2, "--threads", 1)

    assert worker.wait() == 0

    assert effects.counts() == dict.fromkeys(range(20), 1)
    assert unfinished(pk=later.id, state="SCHEDULED").exists()
    assert unfinished(pk=unknown.id, state="READY", failures=0).exists()


def test_unknown_tasks_wait_behind_which_others_run(run_worker, effects):
    """However many there are, and also at a higher priority."""
    enqueue_many(tasks.note.using(priority=9), [(i,) for i in range(700)])
    Job.objects.update(task=(unknown := "not_installed_yet.tasks.noop"))
    enqueue(tasks.note, "known")
    worker = run_worker()

    effects.wait_for("ended", "known")

    assert worker.process.poll() is None
    waiting = unfinished(task=unknown, state="READY", failures=0)
    wait_until(lambda: waiting.count() == 700, "all are given back")


UNKNOWN = "code_of_today.jobs.note"


def enqueue_unknown(count):
    with transaction.atomic():  # or an idle worker may take them as they are
        enqueue_many(tasks.note, [(i,) for i in range(count)])
        unfinished(task=tasks.note.module_path).update(task=UNKNOWN)


def test_workers_of_old_code_leave_new_tasks_to_one_of_new_code(
    run_worker, effects, tmp_path, witness
):
    witness.looks_away = True  # it takes the tasks of the suite for the only ones
    folder = tmp_path / "code_of_today"
    folder.mkdir()
    (folder / "jobs.py").write_text(
        "from dbqueue import task\n"
        "from tests.support import worker_tasks\n"
        "@task\n"
        "def note(key):\n"
        "    worker_tasks.note.func(key)\n"
    )
    old = run_worker("--processes", 2, settings={"DBQUEUE": {"POLL_INTERVAL": NEVER}})
    old.wait_until_working(2)
    enqueue_unknown(30)
    missed = Worker.objects.filter(unknown_tasks=[UNKNOWN])
    wait_until(lambda: missed.count() == 2, "both have met one")
    wait_until(lambda: unfinished(state="READY").count() == 30, "they gave all back")
    assert old.output.count("waits for a worker that knows its task") == 2
    assert f"No live worker of queue=default knows task={UNKNOWN}" in old.output
    claims = sum(unfinished().values_list("attempt", flat=True))

    new = run_worker(PYTHONPATH=tmp_path)

    wait_until_empty(new)
    assert effects.counts() == dict.fromkeys(range(30), 1)
    attempts = finished().values_list("attempt", flat=True)
    assert sum(attempts) == claims + 30, "workers of old code took them again"
    assert finished(failures=0, attempt_log=[]).count() == 30


def test_jobs_enqueued_by_jobs_are_drained_too(run_worker, effects):
    enqueue(tasks.breed, "", 6)
    worker = run_worker("--drain", "--processes", 2)

    assert worker.wait() == 0

    assert len(effects.keys()) == 2**7 - 1 == finished(state="SUCCESSFUL").count()
    assert not unfinished().exists()


def test_a_look_that_began_before_a_hint_can_have_told_all_is_repeated():
    """A wake-up within the window after another is not sent."""
    (child,) = make_children(1, 1)
    polling = Polling(dialects.of("default"), child)
    began = time.monotonic()
    polling.notified(set())
    wait_until(lambda: time.monotonic() > began + 2 * WINDOW, "the look was slow")

    assert not polling.looked(began, more=False)

    assert polling.look_at <= time.monotonic()
    later = time.monotonic()
    assert polling.looked(later, more=False)
    assert polling.look_at > later


def test_a_claimed_job_does_not_wait_behind_a_slow_one(run_worker, effects, tmp_path):
    leave = tmp_path / "leave"
    # Quick ones teach the worker to prefetch; then a slow one comes.
    enqueue_many(tasks.note, [(i,) for i in range(500)])
    enqueue(tasks.work_until.using(priority=-1), "slow", str(leave))
    enqueue_many(tasks.note.using(priority=-2), [(i,) for i in range(500, 600)])
    run_worker("--threads", 1, "--processes", 2)
    effects.wait_for("began", "slow")

    effects.wait_for("ended", times=600)

    assert "slow" not in effects.keys()  # noqa: SIM118
    leave.touch()


def test_async_jobs_do_not_wait_behind_slow_ones_of_one_child(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue_many(tasks.awork_until, [(i, str(leave)) for i in range(4)])
    worker = run_worker("--processes", 4, "--async-concurrency", 1)
    worker.wait_until_working(4)

    lines = effects.wait_for("began", times=4)

    assert len({line["pid"] for line in lines}) == 4
    leave.touch()


def test_async_and_sync_jobs_run_side_by_side(run_worker, effects):
    enqueue_many(tasks.awork, [(f"a{i}", 0.5) for i in range(60)])
    enqueue_many(tasks.work, [(f"s{i}", 0.1) for i in range(20)])
    worker = run_worker("--drain", "--threads", 4)

    assert worker.wait() == 0

    counts = effects.counts()
    assert len(counts) == 80
    assert set(counts.values()) == {1}
    wait_until_empty(worker)
    began = min(line["at"] for line in effects.all("began"))
    ended = max(line["at"] for line in effects.all("ended"))
    assert ended - began < 16  # one after another: 32 s
