"""A worker that has lost a claim and does not know it: what it says changes nothing.

Its row is taken away, as another keeper takes it from a worker whose lease is over.
With a lease of minutes nobody tells it for the next seconds.
"""

import signal

import pytest
from django.contrib.auth.models import Group

from dbqueue import enqueue
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import Job, Worker
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    reasons,
    unfinished,
    wait_until,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

LONG = {"DBQUEUE": {"LEASE": 300.0}}


@pytest.fixture
def lose_claim(run_worker, effects, tmp_path):
    """Return a function that has a job run twice, by a zombie and by its holder."""

    def lose(task, event="began"):
        leave = tmp_path / "leave"
        job = enqueue(task, "job", str(leave))
        zombie = run_worker("--threads", 1, settings=LONG)
        effects.wait_for(event, "job")
        Worker.objects.all().delete()
        assert rescue_orphans("default") == 1
        holder = run_worker("--threads", 1, settings=LONG)
        return job, leave, zombie, holder

    return lose


def test_the_outcome_of_a_lost_claim_changes_no_row_and_is_logged(lose_claim, effects):
    job, leave, zombie, _ = lose_claim(tasks.work_until)
    effects.wait_for("began", "job", times=2)

    leave.touch()

    record = wait_until_finished(job)
    zombie.wait_for_output(f"Claim lost id={job.id}: its outcome changed 0 rows")
    assert (record.attempt, record.failures, reasons(record)) == (2, 1, ["lost"])
    assert effects.counts("ended") == {"job": 2}
    assert finished().count() == 1


def test_the_outcome_of_a_lost_claim_does_not_end_the_run_that_goes_on(
    lose_claim, effects, tmp_path
):
    """The zombie ends first: its successor has not even begun."""
    job, leave, zombie, holder = lose_claim(tasks.work_until_twice)
    effects.wait_for("began", "job", times=2)

    leave.touch()

    zombie.wait_for_output("its outcome changed 0 rows")
    row = Job.objects.get(pk=job.id)
    assert (row.state, row.attempt) == ("RUNNING", 2)
    (tmp_path / "leave again").touch()
    assert wait_until_finished(job).attempt == 2
    assert "Claim lost" not in holder.output


def test_the_progress_of_a_lost_claim_is_not_shown(lose_claim, effects):
    job, leave, zombie, _ = lose_claim(tasks.tell_attempt_until, "told")
    row = Job.objects.filter(pk=job.id)
    wait_until(lambda: told(row) == "attempt 2", "its holder tells")

    # Both tell it again and again, and the zombie sends what it tells each half second.
    said, shown = len(said_by(zombie, effects)), set()
    while len(said_by(zombie, effects)) < said + 15:
        shown.add(told(row))

    leave.touch()
    wait_until_finished(job)
    assert shown == {"attempt 2"}


def told(row):
    (progress,) = row.values_list("progress", flat=True)
    return progress and progress["message"]


def said_by(worker, effects):
    pids = worker.below()
    return [line for line in effects.all("told") if line["pid"] in pids]


def test_the_end_of_a_lost_atomic_job_is_rolled_back_and_logged(
    only_postgres, lose_claim, effects
):
    """On SQLite it is the only writer, and nobody can take its claim."""
    job, leave, zombie, _ = lose_claim(tasks.atomic_until)

    leave.touch()

    record = wait_until_finished(job)
    zombie.wait_for_output("was taken over; rolled back")
    assert (record.attempt, record.state) == (2, "SUCCESSFUL")
    assert Group.objects.count() == 1


def test_a_worker_that_stops_gives_no_job_back_whose_claim_it_has_lost(
    lose_claim, effects
):
    job, leave, zombie, _ = lose_claim(tasks.work_until)
    effects.wait_for("began", "job", times=2)
    zombie.tell(signal.SIGTERM)
    zombie.tell(signal.SIGTERM)

    zombie.wait()

    row = unfinished().get(pk=job.id)
    assert (row.state, row.attempt, reasons(row)) == ("RUNNING", 2, ["lost"])
    leave.touch()
    wait_until_finished(job)
