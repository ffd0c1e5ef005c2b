"""Many jobs, many processes: each runs exactly once, and both records agree."""

import pytest

from dbqueue import enqueue_many
from dbqueue.worker.parent.processes import Family, Place
from dbqueue.worker.shared import ExitReason
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    PATIENCE,
    finished,
    scaled,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def assert_each_ran_once(effects, keys):
    assert effects.counts() == dict.fromkeys(keys, 1)
    # A claimed job that waited too long for a thread goes back: an attempt, no failure.
    records = finished(state="SUCCESSFUL", failures=0, attempt_log=[])
    assert {args[0] for args in records.values_list("args", flat=True)} == set(keys)
    assert finished().count() == len(keys)
    assert not unfinished().exists()


def test_jobs_of_four_enqueuers_run_once_in_four_workers(
    run_worker, run_enqueuer, effects
):
    each = scaled(500, 5000)
    for _ in range(2):
        run_worker("--processes", 2, "--threads", 4, "-v", 0)

    enqueuers = [run_enqueuer(f"{i}-", each) for i in range(4)]

    assert [enqueuer.wait(5 * PATIENCE) for enqueuer in enqueuers] == [0] * 4
    wait_until_empty(seconds=5 * PATIENCE)
    keys = [f"{i}-{j}" for i in range(4) for j in range(each)]
    assert_each_ran_once(effects, keys)


def test_no_outcome_is_lost_between_threads_and_database(run_worker, effects):
    size = scaled(500, 2000)
    for drain in range(scaled(2, 20)):
        keys = [f"{drain} {i}" for i in range(size)]
        enqueue_many(tasks.note, [(key,) for key in keys])
        worker = run_worker("--drain", "--processes", 2, "--threads", 8, "-v", 0)

        assert worker.wait(2 * PATIENCE) == 0

        # Those that were lost twice wait a little, and a drain waits for no time.
        assert not unfinished().exclude(state="SCHEDULED").exists()
    everything = [f"{i} {j}" for i in range(drain + 1) for j in range(size)]
    assert_each_ran_once(effects, everything)


def test_atomic_async_and_plain_jobs_mixed_run_once(run_worker, effects):
    count = scaled(100, 1000)
    kinds = {
        "plain": (tasks.note, lambda key: (key,)),
        "atomic": (tasks.write_atomically_quickly, lambda key: (key,)),
        "sleepy": (tasks.work, lambda key: (key, 0.001)),
        "async": (tasks.awork, lambda key: (key, 0.001)),
    }
    keys = []
    for kind, (task, arguments) in kinds.items():
        calls = [arguments(f"{kind} {i}") for i in range(count)]
        keys += [call[0] for call in calls]
        enqueue_many(task, calls)
    worker = run_worker("--drain", "--processes", 2, "--threads", 4, "-v", 0)

    assert worker.wait(2 * PATIENCE) == 0

    assert_each_ran_once(effects, keys)


@thorough
def test_progress_from_many_threads_disturbs_nothing(run_worker, effects):
    count = scaled(16, 160)
    enqueue_many(tasks.tell_progress, [(f"{i}", 0.5) for i in range(count)])
    worker = run_worker("--drain", "--threads", 8)

    assert worker.wait(2 * PATIENCE) == 0

    assert_each_ran_once(effects, [f"{i}" for i in range(count)])
    assert "Traceback" not in worker.output


def test_a_drain_with_crashes_in_it_leaves_nothing(run_worker, effects):
    def drain():
        assert run_worker("--drain", "--processes", 2, "--threads", 2).wait() == 0

    rounds = scaled(2, 20)
    for i in range(rounds):
        enqueue_many(tasks.leave_at_once, [(f"poison {i} {j}", 1) for j in range(3)])
        enqueue_many(tasks.note, [(f"{i} {j}",) for j in range(50)])

        drain()

        # Those that were lost twice wait a little, and a drain waits for no time.
        assert not unfinished().exclude(state="SCHEDULED").exists()
    while unfinished().exists():
        drain()
    assert len(effects.counts()) == rounds * 50
    assert finished(state="FAILED").count() == rounds * 3


def test_a_drain_is_over_when_a_child_has_looked_after_the_last_burial():
    """The others may have found nothing before, and gone."""
    crashed, other = Place(), Place()
    family = Family(places=[crashed, other])
    family.crashed = crashed.clear(ExitReason.NONE, now=0.0)
    other.clear(ExitReason.DRAINED, now=0.0)
    assert not family.has_drained(reaped=False)
    crashed.clear(ExitReason.DRAINED, now=1.0)

    assert not family.has_drained(reaped=False)
    assert crashed.finished
    assert not family.has_drained(reaped=True)
    assert not crashed.finished
    crashed.clear(ExitReason.DRAINED, now=2.0)
    assert family.has_drained(reaped=True)


@thorough
def test_the_history_is_written_before_a_worker_ends(run_worker, effects):
    enqueue_many(tasks.note, [(i,) for i in range(200)])
    worker = run_worker()
    effects.wait_for("ended", times=200)

    assert worker.stop() == 0

    wait_until(lambda: finished().count() == 200, "all are in the history", seconds=0)
