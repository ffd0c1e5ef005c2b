"""Pauses hold in real workers, whether they hear of them or not."""

import pytest

from dbqueue import enqueue, queues
from tests.support import worker_tasks as tasks
from tests.support.processes import unfinished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

DEAF = {"DBQUEUE": {"NOTIFY": False}}


def test_a_pause_that_nobody_hears_of_holds_on_every_worker_until_it_is_over(
    run_worker, effects
):
    run_worker(settings=DEAF)
    enqueue(tasks.note_in_other, "before")
    effects.wait_for("ended", "before")

    queues.pause("other")

    enqueue(tasks.note_in_other, "paused")
    run_worker(settings=DEAF)  # which knows nothing of what was before it
    for key in range(20):
        enqueue(tasks.note, key)
        effects.wait_for("ended", key)
    assert unfinished(queue_name="other", attempt=0).count() == 1
    queues.resume("other")
    effects.wait_for("ended", "paused")
    assert effects.counts().total() == 22
