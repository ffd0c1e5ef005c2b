"""What jobs of one thread share, and what no job gets of another."""

import pytest
from django.core.cache import caches
from django.test import override_settings

from dbqueue import enqueue, enqueue_many
from dbqueue.models import FinishedJob
from tests.support import context_tasks as tasks
from tests.support.workers import drain

pytestmark = pytest.mark.django_db(transaction=True)

COUNTED = f"{tasks.CountedCache.__module__}.CountedCache"


@pytest.fixture
def counted_caches():
    tasks.CountedCache.made = 0
    with override_settings(
        CACHES={alias: {"BACKEND": COUNTED} for alias in ("default", "other")}
    ):
        yield tasks.CountedCache
    caches.close_all()


@pytest.mark.parametrize("task", [tasks.use_cache, tasks.ause_cache])
def test_cache_backends_are_made_once_for_a_thread(task, counted_caches):
    enqueue_many(task, [(str(i),) for i in range(30)])

    drain(threads=2, async_concurrency=8)

    # Two threads and the event loop, two caches each.
    assert 0 < counted_caches.made <= 6
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == 30


def test_a_cache_that_cannot_be_made_fails_the_jobs_that_use_it_and_no_other():
    enqueue(tasks.use_cache, "key")
    other = enqueue(tasks.see_everything)

    with override_settings(CACHES={"default": {"BACKEND": "nowhere.Cache"}}):
        drain(threads=1)

    other.refresh()
    assert other.state == "SUCCESSFUL"


@pytest.mark.parametrize("spoil", [tasks.set_everything, tasks.aset_everything])
@pytest.mark.parametrize("see", [tasks.see_everything, tasks.asee_everything])
def test_nothing_that_a_job_sets_reaches_the_next(spoil, see):
    spoilt = [enqueue(spoil) for _ in range(3)]
    seen = [enqueue(see) for _ in range(3)]

    drain(threads=1, async_concurrency=1)

    for result in (*spoilt, *seen):
        result.refresh()
        assert result.state == "SUCCESSFUL"
    assert [result.return_value for result in seen] == [tasks.CLEAN] * 3
