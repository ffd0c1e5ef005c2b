"""Rows that were damaged by hand: each ends, or is set aside, and no other waits."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone

from dbqueue import dialects, enqueue, enqueue_many, status
from dbqueue.ids import uuid7
from dbqueue.jobs.refusals import set_aside
from dbqueue.maintenance.halves import NOBODY
from dbqueue.maintenance.promote import promote
from dbqueue.maintenance.prune import prune
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks.framework import task_finished
from tests import tasks
from tests.support.workers import HandWorker, drain

pytestmark = [pytest.mark.django_db(transaction=True)]

IS_POSTGRES = connection.vendor == "postgresql"
MOMENTS = (
    ["infinity", "-infinity", "20000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"]
    if IS_POSTGRES
    else ["2026-13-45 00:00:00", "2026-02-31 00:00:00", "nonsense", "", b"\xff", 1e300]
)
COLUMNS = ["enqueued_at", "run_after", "started_at"]
NUMBERS = (
    [("attempt", 2**31 - 1), ("failures", 2**31 - 1), ("max_attempts", -(2**15))]
    if IS_POSTGRES
    else [
        *((name, 2**63 - 1) for name in ("attempt", "failures", "max_attempts")),
        *((name, "many") for name in ("attempt", "failures", "max_attempts")),
        ("attempt", -5),
    ]
)
STRANGE = [] if IS_POSTGRES else [("task", b"\xff"), ("backend", b"\xff")]
# In a column of JSON: nested more deeply than Python reads, and what only SQLite keeps.
DEPTH = 3000 if IS_POSTGRES else 995
JSONS = ["[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH, "5", '"s"']
JSONS += [] if IS_POSTGRES else ["{", b"\xff\xfe", "[" + "9" * 5000 + "]", "no UTF-8"]
IDS = [] if IS_POSTGRES else ["malformed", "x" * 32, "A" * 32, "", b"\x00"]


def damage(id, column, value):
    """Write into the row what no code of ours would."""
    with connection.cursor() as cursor:
        if IS_POSTGRES:
            sql = f"UPDATE dbqueue_job SET {column} = %s WHERE id = %s"
            cursor.execute(sql, [value, id])
        else:
            cursor.execute("PRAGMA ignore_check_constraints = ON")
            new = "CAST(x'22ff22' AS TEXT)" if value == "no UTF-8" else "%s"
            sql = f"UPDATE dbqueue_job SET {column} = {new} WHERE id = %s"
            values = [] if value == "no UTF-8" else [value]
            cursor.execute(sql, [*values, id.replace("-", "")])
            cursor.execute("PRAGMA ignore_check_constraints = OFF")


def surround():
    """Return the id of a job, which others are enqueued before and after."""
    before = enqueue_many(tasks.noop, [()] * 5)
    job = enqueue(tasks.noop)
    after = enqueue_many(tasks.noop, [()] * 5)
    return job.id, {result.id for result in (*before, *after)}


def assert_the_others_ran(others):
    ran = FinishedJob.objects.filter(state="SUCCESSFUL", pk__in=others)
    assert ran.count() == len(others)


def failed():
    """Return the message of the only job that failed."""
    record = FinishedJob.objects.get(state="FAILED")
    return record.attempt_log[-1]["message"]


@pytest.mark.parametrize("value", MOMENTS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_job_with_a_moment_that_is_none_fails_and_says_so(column, value):
    id, others = surround()
    damage(id, column, value)

    drain(threads=2)

    assert_the_others_ran(others)
    assert column in failed()
    assert not Job.objects.exists()


@pytest.mark.parametrize(("column", "value"), NUMBERS + STRANGE)
def test_a_job_with_absurd_values_ends_and_lets_the_others_run(column, value):
    id, others = surround()
    damage(id, column, value)

    drain(threads=2)

    assert_the_others_ran(others)
    assert FinishedJob.objects.count() == len(others) + 1
    assert not Job.objects.exists()


@pytest.mark.parametrize("is_running", [False, True])
def test_jobs_with_json_that_cannot_be_read_end_and_let_the_others_run(is_running):
    _, others = surround()
    columns = ["args", "kwargs", "context", "attempt_log", "progress"]
    values = [(column, value) for column in columns for value in JSONS]
    jobs = enqueue_many(tasks.fail_hopelessly, [("x",)] * len(values))
    if is_running:
        HandWorker().claim(100)
    for job, (column, value) in zip(jobs, values, strict=True):
        damage(job.id, column, value)
    Job.objects.exclude(worker_id=None).update(worker_id=uuid7())

    while rescue_orphans("default"):
        pass
    Job.objects.update(state="READY")
    drain(threads=2)

    assert_the_others_ran(others)
    assert FinishedJob.objects.filter(state="FAILED").count() == len(jobs)
    assert not Job.objects.exists()


@pytest.mark.parametrize("microsecond", [0, 999_499, 999_500, 999_999])
def test_each_moment_of_a_second_is_sound(microsecond):
    moment = timezone.now().replace(microsecond=microsecond) + timedelta(days=1)
    job = enqueue(tasks.noop.using(run_after=moment))
    lame = enqueue(tasks.noop.using(run_after=moment))
    damage(lame.id, "run_after", None)

    rescue_orphans("default")

    kept = Job.objects.get(pk=job.id)
    assert (kept.state, kept.run_after) == ("SCHEDULED", moment)
    assert Job.objects.get(pk=lame.id).state == "READY"


@pytest.mark.parametrize("value", IDS)
def test_a_job_with_an_id_that_is_none_fails_under_another(value):
    id, others = surround()
    damage(id, "id", value)

    drain(threads=2)

    assert_the_others_ran(others)
    assert "id" in failed()
    assert not Job.objects.exists()


@pytest.mark.parametrize("value", [None, *MOMENTS])
def test_a_job_that_is_due_at_no_time_keeps_none_from_being_due(value):
    id, others = surround()
    Job.objects.update(state="SCHEDULED", run_after="2020-01-01T00:00:00Z")
    damage(id, "run_after", value)
    rescue_orphans("default")

    dialects.of("default").next_due()
    promote("default")
    drain(threads=2)

    assert dialects.of("default").next_due().due in (None, 0.0)
    assert_the_others_ran(others)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("worker_id", None),
        *([] if IS_POSTGRES else [("worker_id", "nobody"), ("id", "malformed")]),
        ("last_attempted_at", None),
        *(("last_attempted_at", moment) for moment in MOMENTS),
        *NUMBERS,
    ],
)
def test_a_running_job_that_was_damaged_keeps_no_other_from_its_rescue(column, value):
    id, others = surround()
    HandWorker().claim(20)
    damage(id, column, value)
    Job.objects.exclude(worker_id=None).filter(state="RUNNING").update(
        worker_id="00000000-0000-7000-8000-000000000000"
    ) if column != "worker_id" else Job.objects.filter(pk__in=others).update(
        worker_id="00000000-0000-7000-8000-000000000000"
    )

    while rescue_orphans("default"):
        pass
    drain(threads=2)

    assert_the_others_ran(others)
    assert not Job.objects.filter(state="RUNNING").exists()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("enqueued_at", moment) for moment in MOMENTS),
        *(("run_after", moment) for moment in MOMENTS),
        *NUMBERS,
        *STRANGE,
        *(("id", id) for id in IDS),
        ("state", "STRANGE"),
    ],
)
def test_a_damaged_row_hides_no_other_from_an_operator(column, value, client):
    client.force_login(User.objects.create_superuser("root"))
    id, others = surround()
    damage(id, column, value)

    queues = status.queues("default")
    page = client.get(reverse("admin:dbqueue_job_changelist"))

    assert sum(queue.ready for queue in queues) >= len(others)
    assert [status.reason(job) for job in Job.objects.all()]
    assert page.status_code == 200
    for other in others:
        assert other in page.content.decode()


def test_a_row_that_is_set_aside_is_announced_as_any_other_failure(caplog):
    job, error = enqueue(tasks.noop), DatabaseError("out of range")
    ended = []

    def note(task_result, **kwargs):
        ended.append((task_result.id, task_result.status))

    task_finished.connect(note)
    try:
        moved = set_aside(dialects.of("default"), UUID(job.id), NOBODY, error)
    finally:
        task_finished.disconnect(note)

    assert moved
    assert ended == [(job.id, "FAILED")]
    (record,) = (r for r in caplog.records if r.levelname == "ERROR")
    assert "out of range" in str(record.exc_info[1])
    assert not set_aside(dialects.of("default"), UUID(job.id), NOBODY, error)


def test_the_reason_of_a_job_in_a_state_that_there_is_not_is_told():
    job = enqueue(tasks.noop)
    damage(job.id, "state", "STRANGE")

    reason = status.reason(Job.objects.get())

    assert "'STRANGE'" in reason


@pytest.mark.parametrize("value", MOMENTS)
def test_a_damaged_row_of_the_history_hides_no_other_and_is_pruned(value, client):
    client.force_login(User.objects.create_superuser("root"))
    jobs = enqueue_many(tasks.noop, [()] * 3)
    drain()
    with connection.cursor() as cursor:
        id = jobs[1].id if IS_POSTGRES else jobs[1].id.replace("-", "")
        sql = "UPDATE dbqueue_finishedjob SET enqueued_at = %s WHERE id = %s"
        cursor.execute(sql, [value, id])

    page = client.get(reverse("admin:dbqueue_finishedjob_changelist"))
    for job in jobs:
        job.refresh()

    assert page.status_code == 200
    assert {job.state for job in jobs} == {"SUCCESSFUL"}
    assert prune("default", states=["SUCCESSFUL"], older_than=0) == 3
