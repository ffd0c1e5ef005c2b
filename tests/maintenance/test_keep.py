from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from dbqueue import enqueue, task
from dbqueue.jobs.moves import cancel
from dbqueue.maintenance.prune import prune, prune_outlived, prune_throttles
from dbqueue.maintenance.rescue import rescue
from dbqueue.models import FinishedJob, Job, JobState, Throttle
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import stored
from dbqueue.testing import run_jobs
from dbqueue.worker.parent.pruner import Pruner
from dbqueue.worker.run.attempt import Attempt
from tests.support import unique_tasks
from tests.support.workers import drain

pytestmark = pytest.mark.django_db

HOUR = 3600


def kept():
    """Return for how many seconds the only finished job is kept; None is as others."""
    job = FinishedJob.objects.get()
    if job.keep_until is None:
        return None
    return round((job.keep_until - job.finished_at).total_seconds())


def aged(rows=FinishedJob.objects, **seconds):
    """Let the moments of the history be so many seconds ago."""
    for name, past in seconds.items():
        rows.update(**{name: timezone.now() - timedelta(seconds=past)})


def with_defaults(given):
    backend = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
    return {"default": {**backend, "OPTIONS": {"defaults": given}}}


@pytest.mark.django_db(transaction=True)
def test_a_job_is_kept_as_its_task_says_whatever_its_end():
    enqueue(unique_tasks.kept_for_an_hour, 1)
    enqueue(unique_tasks.kept_failing)
    enqueue(unique_tasks.renamed, 1)

    drain()

    for job in FinishedJob.objects.all():
        own = job.task != unique_tasks.renamed.module_path
        assert (job.keep_until is not None) == own
        if own:
            assert job.keep_until - job.finished_at == pytest.approx(
                timedelta(hours=1), abs=timedelta(milliseconds=10)
            )


def test_a_job_that_was_cancelled_while_it_waited_is_kept_as_long():
    enqueue(unique_tasks.kept_for_an_hour, 1)

    cancel("default", [Job.objects.get().pk])

    assert kept() == HOUR


def test_a_job_that_was_lost_is_kept_as_long(worker):
    enqueue(unique_tasks.kept_failing)
    (job,) = worker.claim()

    rescue("default", [job.held_by(worker.id)])

    assert FinishedJob.objects.get().state == JobState.FAILED
    assert kept() == HOUR


@pytest.mark.parametrize("place", ["queue:default", "app:tests"])
def test_a_queue_or_an_app_says_it_for_its_tasks(place):
    said = {"keep": 60, "keep_result": False}
    with override_settings(TASKS=with_defaults({place: said})):
        result = enqueue(unique_tasks.renamed, 1)
        run_jobs()
        result.refresh()

    assert kept() == 60
    assert result.return_value is None


def test_a_tasks_own_word_comes_first():
    with override_settings(TASKS=with_defaults({"queue:default": {"keep": 60}})):
        enqueue(unique_tasks.kept_for_an_hour, 1)
        run_jobs()

    assert kept() == HOUR


def test_what_is_not_kept_need_not_be_json():
    result = enqueue(unique_tasks.keeps_nothing, 1)

    run_jobs()

    result.refresh()
    assert (result.state, result.return_value) == (JobState.SUCCESSFUL, None)
    assert FinishedJob.objects.get().result is None


def test_for_ever_is_long(worker):
    enqueue(unique_tasks.kept_for_an_hour, 1)
    forever = stored(unique_tasks.kept_for_an_hour, keep=float("inf"))
    (job,) = worker.claim()

    outcome = Attempt(job, forever, worker.holder()).run_to_end()
    worker.dialect.record(worker.id, [outcome])

    assert FinishedJob.objects.get().keep_until.year > 8000


@pytest.mark.parametrize("keep", [-1, True, "60", float("nan"), 1e12])
def test_what_is_no_time_is_refused(keep):
    with pytest.raises(InvalidTask, match="must be seconds from 0"):
        task(keep=keep)(lambda: None)


def test_keep_result_is_true_or_false():
    with pytest.raises(InvalidTask, match="must be True or False"):
        task(keep_result="no")(lambda: None)


class TestPruning:
    def prune(self, **more):
        return prune("default", states=["SUCCESSFUL"], older_than=HOUR, **more)

    def test_a_record_with_a_time_of_its_own_outlives_the_others(self):
        enqueue(unique_tasks.kept_for_an_hour, 1)
        enqueue(unique_tasks.renamed, 1)
        run_jobs()
        aged(finished_at=2 * HOUR)

        assert self.prune() == 1
        assert FinishedJob.objects.get().keep_until is not None

    def test_it_goes_when_its_own_time_is_over(self):
        enqueue(unique_tasks.kept_for_an_hour, 1)
        run_jobs()
        assert prune_outlived("default") == 0
        aged(keep_until=1)

        assert prune_outlived("default") == 1

    def test_the_keeper_prunes_all_kinds(self):
        enqueue(unique_tasks.kept_for_an_hour, 1)
        enqueue(unique_tasks.throttled, 1)
        enqueue(unique_tasks.throttled, 2)
        run_jobs()
        aged(FinishedJob.objects.exclude(keep_until=None), keep_until=1)
        late = timezone.now() - timedelta(seconds=1)
        Throttle.objects.filter(key__endswith=":1").update(expires_at=late)

        Pruner().prune("default")

        assert FinishedJob.objects.count() == 2
        assert Throttle.objects.get().key.endswith(":2")

    def test_throttles_that_still_hold_stay(self):
        enqueue(unique_tasks.throttled, 1)

        assert prune_throttles("default") == 0

    def test_what_stays_is_passed_over_once(self, django_assert_num_queries):
        for number in range(4):
            enqueue(
                unique_tasks.renamed if number % 2 else unique_tasks.kept_for_an_hour, 1
            )
        run_jobs()
        aged(finished_at=2 * HOUR)
        marks = {}

        assert self.prune(limit=1, marks=marks) == 1
        mark = marks["SUCCESSFUL"]
        assert self.prune(limit=1, marks=marks) == 1
        assert self.prune(limit=1, marks=marks) == 0
        assert marks["SUCCESSFUL"] >= mark
        assert FinishedJob.objects.count() == 2

    def test_the_command_obeys_it(self, capsys):
        enqueue(unique_tasks.kept_for_an_hour, 1)
        enqueue(unique_tasks.renamed, 1)
        run_jobs()
        aged(finished_at=2 * HOUR)

        call_command("prunejobs", older_than=HOUR, dry_run=True)
        call_command("prunejobs", older_than=HOUR)
        aged(keep_until=1)
        call_command("prunejobs", older_than=HOUR, state=["failed"])
        call_command("prunejobs", dry_run=True)
        call_command("prunejobs")

        counted = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
        assert counted == ["1", "1", "0", "1", "1"]
        assert not FinishedJob.objects.exists()
