"""What becomes of jobs when a backup is restored; see how-to/restore in the docs."""

from datetime import timedelta

import pytest
from django.db import transaction

from dbqueue import enqueue
from dbqueue.models import FinishedJob, Job, Worker
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    SHORT,
    finished,
    reasons,
    unfinished,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (Job, FinishedJob, Worker)


def backup():
    with transaction.atomic():
        return {model: list(model._base_manager.values()) for model in TABLES}


def restore(rows):
    with transaction.atomic():
        for model in TABLES:
            model._base_manager.all().delete()
            model.objects.bulk_create(model(**row) for row in rows[model])


def test_a_restored_backup_runs_what_it_has_and_nothing_later(
    run_worker, effects, witness, tmp_path
):
    witness.looks_away = True  # as the restore undoes what was committed
    leave = tmp_path / "leave"
    worker = run_worker("--threads", 1, settings=SHORT)
    done = enqueue(tasks.note, "finished before")
    wait_until_finished(done)
    running = enqueue(tasks.work_until, "running", str(leave))
    effects.wait_for("began", "running")
    ready = enqueue(tasks.note, "ready")
    late = enqueue(tasks.note.using(run_after=timedelta(seconds=1)), "scheduled")
    saved = backup()
    leave.touch()
    enqueue(tasks.note, "enqueued later")
    wait_until_empty(worker)
    assert worker.stop() == 0

    restore(saved)

    run_worker("--threads", 1, settings=SHORT)
    wait_until_empty()
    ended = effects.counts()
    assert ended["finished before"] == ended["enqueued later"] == 1
    assert ended["running"] == ended["ready"] == ended["scheduled"] == 2
    assert not unfinished().exists()
    assert {str(pk) for pk in finished().values_list("pk", flat=True)} == {
        each.id for each in (done, running, ready, late)
    }
    # With its neighbour, which may have been claimed but not begun, it is not to blame.
    assert reasons(finished().get(pk=running.id)) in (["lost"], ["released"])
