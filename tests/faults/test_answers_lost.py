"""A connection that ends between a commit and its answer: was it done, or not?"""

import sys
import time
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group

from dbqueue.models import Job
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    ROOT,
    finished,
    reasons,
    scaled,
    thorough,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

PATIENT = {"DBQUEUE": {"LEASE": 30.0}}
CLAIM = "picked AS MATERIALIZED"
FINISH = "DELETE FROM dbqueue_job AS j USING"

# Does again, under the same id, what may or may not have been done.
INSISTENT = """
import sys
import django
django.setup()
from django.db import OperationalError, connection, transaction
from dbqueue import enqueue
from tests.support.worker_tasks import note
connection.ensure_connection()
for attempt in range(5):
    try:
        with transaction.atomic():
            enqueue(note.using(job_id=sys.argv[1]), "insistent")
        break
    except OperationalError as error:
        print("Lost:", error)
        connection.close()
"""


def test_an_enqueue_whose_answer_is_lost_can_be_repeated_under_its_id(
    meddler, start, run_worker, jobs, effects
):
    id = str(uuid4())
    meddler.cut_answers_to("INSERT INTO dbqueue_job")

    enqueuer = start(
        [sys.executable, "-c", INSISTENT],
        [id],
        database_url=meddler.url,
        PYTHONPATH=ROOT,
    )

    assert enqueuer.wait() == 0
    assert enqueuer.output.count("Lost:") == meddler.cuts == 1
    jobs.adopt(id)
    assert Job.objects.count() == 1
    jobs.drained(run_worker())
    assert effects.counts() == {"insistent": 1}


def test_jobs_that_a_lost_answer_has_hidden_are_run(
    meddler, run_worker, jobs, effects, measured
):
    worker = run_worker(database_url=meddler.url, settings=PATIENT)
    worker.wait_until_working()
    meddler.cut_answers_to(CLAIM)
    began = time.monotonic()

    jobs.many(tasks.note, [(i,) for i in range(3)])

    effects.wait_for("ended", times=3)
    measured("hidden jobs ran after", time.monotonic() - began)
    jobs.drained(worker)
    assert meddler.cuts == 1
    assert effects.counts() == dict.fromkeys(range(3), 1)
    assert finished(failures=0).count() == 3


def test_an_outcome_whose_answer_is_lost_is_recorded_once(
    meddler, run_worker, jobs, effects, measured
):
    meddler.cut_answers_to(FINISH)
    job = jobs.one(tasks.work, "job", 0.1)

    worker = run_worker(database_url=meddler.url, settings=PATIENT)

    record = wait_until_finished(job)
    wait_until(lambda: "trouble" in worker.output, "it noticed")
    assert (record.attempt, record.failures, reasons(record)) == (1, 0, [])
    jobs.one(tasks.note, "next")
    jobs.drained(worker)
    assert effects.counts("ended") == {"job": 1, "next": 1}
    assert "changed 0 rows" not in worker.output
    assert meddler.cuts == 1


@pytest.mark.parametrize(
    "task",
    [tasks.write_atomically_quickly, tasks.write_and_finish],
    ids=["atomic", "finishing()"],
)
def test_an_end_that_a_job_commits_itself_is_known_though_its_answer_is_lost(
    task, meddler, run_worker, jobs, effects
):
    meddler.cut_answers_to(FINISH)
    job = jobs.one(task, "job")

    worker = run_worker(database_url=meddler.url, settings=PATIENT)

    record = wait_until_finished(job)
    wait_until(lambda: meddler.cuts, "the answer was lost")
    jobs.one(tasks.note, "next")
    jobs.drained(worker)
    assert (record.state, record.attempt, reasons(record)) == ("SUCCESSFUL", 1, [])
    assert effects.counts() == {"job": 1, "next": 1}
    assert Group.objects.count() == 1


@pytest.mark.parametrize("text", [CLAIM, pytest.param(FINISH, marks=thorough)])
def test_nothing_is_lost_or_doubled_while_answers_are_lost_again_and_again(
    text, meddler, run_worker, jobs, effects, measured
):
    count = scaled(200, 2000)
    jobs.many(tasks.work, [(i, 0.01) for i in range(count)])
    worker = run_worker("--processes", 2, database_url=meddler.url, settings=PATIENT)
    for share in (0.1, 0.3, 0.5, 0.7):
        effects.wait_for("ended", times=int(count * share))
        meddler.cut_answers_to(text)

    wait_until_empty(worker)

    jobs.check(at_rest=True)
    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert meddler.cuts >= 3
    measured("answers lost", meddler.cuts, "times")
    wrong = sum(abs(effects.counts()[i] - 1) for i in range(count))
    measured("lost or doubled", wrong, "jobs")
