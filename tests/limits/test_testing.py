"""Limits in the tests of projects, and in transactions of another isolation."""

import subprocess
import sys

import pytest
from django.db import connection
from django.test import override_settings

from dbqueue import enqueue, enqueue_many
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from tests.support import limited_tasks as limited
from tests.support.lanes import states
from tests.support.processes import ROOT, environment

pytest_plugins = ["tests.support.worker_fixtures"]


@pytest.mark.django_db
def test_run_jobs_keeps_limits_and_orders():
    enqueue_many(limited.step, [(1, "a"), (1, "b"), (2, "c")])
    enqueue_many(limited.one, [(1,)] * 3)
    enqueue_many(limited.each, [(tenant,) for tenant in "abab"])

    ran = run_jobs()

    assert [result.args for result in ran if result.args[0] == 1][:2]
    steps = [result.args[1] for result in ran if len(result.args) == 2]
    assert steps.index("a") < steps.index("b")
    assert len(ran) == 10


@pytest.mark.django_db
def test_run_jobs_leaves_what_the_rate_does_not_let_in():
    enqueue_many(limited.paced, [()] * 5)

    assert len(run_jobs()) == 3
    assert states() == {"BLOCKED": 2}


@pytest.mark.parametrize("backend", ["ImmediateBackend", "RecordingBackend"])
def test_the_backends_for_tests_take_limits_and_keep_none(backend):
    entry = {"BACKEND": f"dbqueue.testing.{backend}", "QUEUES": []}

    with override_settings(TASKS={"default": entry}):
        results = [enqueue(limited.one, 1) for _ in range(3)]

    assert {result.state for result in results} <= {"SUCCESSFUL", "READY"}


REPEATABLE = """
import django
from django.conf import settings
settings.DATABASES["default"]["OPTIONS"] = {"isolation_level": 3}
django.setup()
from dbqueue.dialects.scan import Scan
from dbqueue.ids import uuid7
from dbqueue import dialects
from dbqueue.dialects.rows import Outcome
from dbqueue.maintenance import leases
dialect, me, scan = dialects.of("default"), uuid7(), Scan([["*"]])
leases.register("default", me, name="w", host="", pid=0, queues="*", lease=60)
outcomes, ended = [], 0
dialect.hear(["two:"])
while ended < 6:
    _, jobs = dialect.finish_and_claim(me, outcomes, scan, 10)
    assert len(jobs) <= 2, jobs
    outcomes = [Outcome(id=job.id, attempt=job.attempt, state="SUCCESSFUL",
                        result="null", gate=job.gate) for job in jobs]
    ended += len(jobs)
dialect.finish_and_claim(me, outcomes, scan, 10)
assert dialect.gates_alone
"""


@pytest.mark.django_db(transaction=True)
def test_gates_begin_transactions_of_their_own_where_others_see_the_past(
    only_postgres, database_address, effects
):
    enqueue_many(limited.two, [()] * 6)

    values = {k: str(v) for k, v in environment(database_address, effects).items()}
    command = [sys.executable, "-c", REPEATABLE]
    subprocess.run(command, cwd=ROOT, env=values, check=True, timeout=60)

    assert FinishedJob.objects.count() == 6
    assert not Job.objects.exists()
    assert connection.vendor == "postgresql"
