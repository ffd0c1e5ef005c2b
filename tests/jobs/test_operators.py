"""Several operators act on the same jobs at once, each in a process of its own."""

import sys
from collections import Counter

import pytest
from django.db import connection
from django.utils import timezone

from dbqueue.ids import uuid7
from dbqueue.models import FinishedJob, Job
from tests.support.processes import (
    FAULTS,
    MANAGE,
    NEVER,
    on_demand,
    thorough,
    wait_until_empty,
)
from tests.support.worker_tasks import note

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

JOBS = 5000 if FAULTS else 300
# On SQLite retries and workers take turns at writing: a million would take 20 minutes.
MANY = 1_000_000 if connection.vendor == "postgresql" else 100_000
RETRY = [sys.executable, MANAGE, "jobs", "retry", "--batch", JOBS // 10]


@pytest.fixture
def failed():
    """Return the keys of jobs that have FAILED."""
    now, worker = timezone.now(), uuid7()
    record = {"attempt": 1, "worker": str(worker), "reason": "failed"}
    FinishedJob.objects.bulk_create(
        FinishedJob(
            task=note.module_path,
            args=[f"job {number}"],
            queue_name="default",
            backend="default",
            max_attempts=1,
            state="FAILED",
            attempt=1,
            failures=1,
            attempt_log=[record | {"exception": "smtplib.SMTPServerDisconnected"}],
            exception="smtplib.SMTPServerDisconnected",
            worker_id=worker,
            enqueued_at=now,
            started_at=now,
            last_attempted_at=now,
            finished_at=now,
        )
        for number in range(JOBS)
    )
    return {f"job {number}" for number in range(JOBS)}


def test_jobs_that_three_retry_at_once_run_once_more_each(
    failed, start, run_worker, effects
):
    worker = run_worker()
    worker.wait_until_working()

    operators = [
        start(RETRY, ["--exception", "SMTPServerDisconnected"]),
        start(RETRY, ["--filter", "failures__gt=0", "--queue", "default"]),
        start(RETRY, ["--task", note.module_path, "--state", "failed"]),
    ]

    assert [operator.wait() for operator in operators] == [0, 0, 0]
    wait_until_empty(worker, NEVER)
    assert effects.counts() == Counter(failed)
    assert FinishedJob.objects.filter(state="SUCCESSFUL").count() == JOBS
    assert set(FinishedJob.objects.values_list("failures", flat=True)) == {0}


@on_demand
def test_an_operator_who_is_killed_leaves_each_job_whole(
    failed, start, run_worker, effects
):
    first = start(RETRY, ["--all", "--verbosity", "2"], PYTHONUNBUFFERED=1)
    first.wait_for_output("retried …")
    first.kill_all()
    start(RETRY, ["--state", "failed"]).wait()

    worker = run_worker("--drain")

    assert worker.wait() == 0
    assert effects.counts() == Counter(failed)
    assert set(FinishedJob.objects.values_list("failures", flat=True)) == {0}


def multiply_failed(number):
    """Copy those that have FAILED until there are so many, in the database itself."""
    columns = [field.column for field in FinishedJob._meta.local_concrete_fields]
    postgres = connection.vendor == "postgresql"
    new = "gen_random_uuid()" if postgres else "lower(hex(randomblob(16)))"
    chosen = ", ".join(new if name == "id" else name for name in columns)
    while (missing := number - FinishedJob.objects.count()) > 0:
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO dbqueue_finishedjob ({', '.join(columns)}) "
                f"SELECT {chosen} FROM dbqueue_finishedjob LIMIT %s",
                [missing],
            )


@thorough
def test_very_many_that_are_retried_while_workers_drain_are_all_there_once(
    failed, start, run_worker, effects, witness
):
    witness.looks_away = True  # at so many, in one answer
    multiply_failed(MANY)
    worker = run_worker("--processes", 2)
    worker.wait_until_working(2)

    retried = start([*RETRY[:-1], 10_000], ["--all"]).wait(3 * NEVER)

    assert retried == 0
    assert effects.all()
    assert worker.stop() == 0
    ended = FinishedJob.objects.filter(state="SUCCESSFUL", failures=0).count()
    assert ended == FinishedJob.objects.count() == len(effects.all("ended"))
    assert ended + Job.objects.filter(failures=0).count() == MANY
