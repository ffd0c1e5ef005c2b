"""What jobs enqueue in transactions of theirs, and that no other stays open."""

import pytest
from django.db import connection, transaction

from dbqueue import enqueue, enqueue_many
from tests.support import invariants
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    unfinished,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("task", "state"),
    [
        (tasks.enqueue_and_fail, "FAILED"),
        (tasks.enqueue_and_fail_to_finish, "FAILED"),
        (tasks.enqueue_and_die, "FAILED"),
        (tasks.enqueue_and_commit, "SUCCESSFUL"),
    ],
    ids=["raises", "raises in finishing()", "dies", "commits"],
)
def test_what_a_job_enqueues_in_its_transaction_shares_its_fate(
    task, state, run_worker, effects
):
    job = enqueue(task, "parent")
    worker = run_worker("--threads", 1)

    record = wait_until_finished(job)

    wait_until_empty(worker)
    assert record.state == state
    there = finished(task=tasks.note.module_path)
    committed = state == "SUCCESSFUL"
    assert there.count() == committed
    assert effects.counts()["of parent"] == committed
    gone = effects.keys("rolled back")
    assert bool(gone) != committed
    assert not finished(pk__in=gone).exists()
    assert not unfinished(pk__in=gone).exists()


def test_what_was_rolled_back_runs_in_no_worker_that_waits_for_it(run_worker, effects):
    worker = run_worker()
    worker.wait_until_working()
    with transaction.atomic():
        for i in range(50):
            enqueue(tasks.note, f"rolled back {i}")
        transaction.set_rollback(True)

    # The witness asks for each of those that were rolled back.
    enqueue(tasks.note, "behind them")

    effects.wait_for("ended", "behind them")
    wait_until_empty(worker)
    assert effects.counts() == {"behind them": 1}


@pytest.mark.parametrize(
    "task", [tasks.ask_until, tasks.aask_until], ids=["sync", "async"]
)
def test_no_transaction_is_open_while_jobs_run_that_have_used_the_database(
    task, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    enqueue_many(task, [(i, str(leave)) for i in range(3)])
    worker = run_worker("--threads", 3)
    effects.wait_for("began", times=3)
    for i in range(20):  # and the loop has work beside them
        enqueue(tasks.note, f"beside {i}")

    sentences = invariants.no_transaction_is_open()

    leave.touch()
    wait_until_empty(worker)
    assert sentences == []


def test_the_question_for_open_transactions_finds_one_that_a_job_keeps(
    run_worker, effects, tmp_path, monkeypatch
):
    """As an atomic job does, whose right it is."""
    monkeypatch.setattr(invariants, "LONG", 0.2)
    if connection.vendor == "sqlite":
        connection.close()
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.2)
    leave = tmp_path / "leave"
    enqueue(tasks.write_atomically, "row", str(leave))
    worker = run_worker()
    effects.wait_for("written", "row")

    (sentence,) = invariants.no_transaction_is_open()

    leave.touch()
    assert sentence.startswith("I9")
    connection.close()
    wait_until_empty(worker)
