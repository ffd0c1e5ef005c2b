"""Heartbeats alone do not arrive, while the database answers all else."""

import os
import signal
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.models.functions import Now

from dbqueue import enqueue
from dbqueue.models import Worker
from tests.support import slow_duties
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    on_demand,
    reasons,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

REFUSE = {
    "postgresql": [
        """CREATE FUNCTION refuse_heartbeat() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''no heartbeat today''; END'""",
        """CREATE TRIGGER late BEFORE {events} ON dbqueue_worker FOR EACH ROW
        WHEN (NEW.name = 'late' AND NEW.ended_at IS NULL)
        EXECUTE FUNCTION refuse_heartbeat()""",
    ],
    "sqlite": [
        """CREATE TRIGGER late_{event} BEFORE {event} ON dbqueue_worker
        WHEN NEW.name = 'late' AND NEW.ended_at IS NULL
        BEGIN SELECT RAISE(ABORT, 'no heartbeat today'); END""",
    ],
}
RELENT = {
    "postgresql": ["DROP FUNCTION IF EXISTS refuse_heartbeat CASCADE"],
    "sqlite": [
        f"DROP TRIGGER IF EXISTS late_{event}" for event in ("INSERT", "UPDATE")
    ],
}


@contextmanager
def refused_heartbeats(events=("INSERT", "UPDATE")):
    """Let the database refuse each write that renews the lease of the worker "late".

    Others may end it when it is over. With INSERT alone, its newcomers are refused.
    """
    with connection.cursor() as cursor:
        for statement in refusals(events):
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for statement in RELENT[connection.vendor]:
                cursor.execute(statement)


def refusals(events):
    """Return the statements that make the triggers."""
    some = REFUSE[connection.vendor]
    if connection.vendor == "postgresql":
        return [statement.format(events=" OR ".join(events)) for statement in some]
    return [statement.format(event=event) for statement in some for event in events]


# What a child says that leaves, and its supervisor where the child was too late.
LEFT_BY_FORCE = "while its lease ends; killed"
GIVES_UP = ("no heartbeat reaches the database", LEFT_BY_FORCE)


def has_given_up(worker):
    return any(words in worker.output for words in GIVES_UP)


# A fifth of it, at least, is between the end of the one and the begin of the other.
@pytest.mark.parametrize(
    "lease", [6.0, *(pytest.param(lease, marks=on_demand) for lease in (3.0, 12.0))]
)
def test_a_worker_without_heartbeats_has_left_its_jobs_before_another_begins_them(
    lease, run_worker, jobs, effects, tmp_path
):
    leave = tmp_path / "leave"
    settings = {"DBQUEUE": {"LEASE": lease}}
    job = jobs.one(tasks.work_alone_until, "slow", str(leave))
    late = run_worker("--worker-name", "late", settings=settings)
    effects.wait_for("began", "slow")
    run_worker("--worker-name", "prompt", settings=settings)

    with refused_heartbeats():
        _, again = effects.wait_for("began", "slow", times=2)

    assert again["beside"] == []
    assert has_given_up(late)
    leave.touch()
    record = wait_until_finished(job)
    # Its own keeper gives it back when the child has gone, or another takes it.
    assert record.attempt == 2
    assert reasons(record) in (["released"], ["lost"])
    assert effects.counts() == {"slow": 1}


@on_demand
def test_a_child_that_cannot_leave_by_itself_is_killed_before_another_begins_its_job(
    run_worker, jobs, effects
):
    """Its supervisor sees to it where no other thread of the child gets to run."""
    settings = {"DBQUEUE": {"LEASE": 6.0}}
    job = jobs.one(tasks.hold_the_gil_at_first, "held")
    late = run_worker("--worker-name", "late", settings=settings)
    effects.wait_for("began", "held")
    run_worker("--worker-name", "prompt", settings=settings)

    with refused_heartbeats():
        _, again = effects.wait_for("began", "held", times=2)

    assert again["beside"] == []
    assert LEFT_BY_FORCE in late.output
    assert reasons(wait_until_finished(job)) == ["lost"]


def test_a_worker_without_heartbeats_claims_nothing_until_they_arrive_again(
    run_worker, jobs, effects
):
    worker = run_worker("--worker-name", "late", settings={"DBQUEUE": {"LEASE": 3.0}})
    worker.wait_until_working()
    with refused_heartbeats():
        wait_until(lambda: has_given_up(worker), "it gives up")
        wait_until(lambda: not worker.children(), "it has left")
        jobs.one(tasks.note, "waits")
        # It comes back, and may not register; and its lease is over.
        told = worker.output.count("no heartbeat today")
        wait_until(lambda: worker.output.count("no heartbeat today") > told, "it tries")
        wait_until(
            lambda: not Worker.objects.filter(expires_at__gt=Now()).exists(),
            "no lease holds",
        )
        assert not effects.all()

    effects.wait_for("ended", "waits")
    jobs.drained(worker)
    assert worker.process.poll() is None


def test_heartbeats_go_on_among_duties_that_outlast_a_lease_together(
    settings, run_worker, jobs, effects, tmp_path
):
    leave = tmp_path / "leave"
    apps = [*settings.INSTALLED_APPS, "tests.support.slow_duties.SlowDuties"]
    chosen = {"DBQUEUE": {"LEASE": slow_duties.LEASE}, "INSTALLED_APPS": apps}
    job = jobs.one(tasks.work_until, "slow", str(leave))
    worker = run_worker(settings=chosen)

    effects.wait_for("done", times=3 * slow_duties.COUNT)

    leave.touch()
    assert wait_until_finished(job).attempt == 1
    assert not has_given_up(worker)
    assert effects.counts()["slow"] == 1


def test_a_child_that_may_not_register_costs_the_others_nothing(
    run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    for key in ("one", "two"):
        enqueue(tasks.work_until, key, str(leave))
    settings = {"DBQUEUE": {"LEASE": 6.0}}
    options = "--worker-name", "late", "--processes", 2, "--threads", 1
    worker = run_worker(*options, settings=settings)
    victim, other = effects.wait_for("began", times=2)

    with refused_heartbeats(["INSERT"]):
        os.kill(victim["pid"], signal.SIGKILL)
        told = "no heartbeat today"
        wait_until(lambda: worker.output.count(told) > 5, "its successor is refused")
        seen = Worker.objects.get(pid=other["pid"]).last_seen
        wait_until(
            lambda: Worker.objects.get(pid=other["pid"]).last_seen > seen,
            "the other one's lease is renewed",
        )
        leave.touch()
        wait_until_empty()

    assert effects.counts() == {"one": 1, "two": 1}
    assert not has_given_up(worker)
