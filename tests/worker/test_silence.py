"""Connections that stay open and never answer, and a supervisor that stands still."""

import os
import signal
import time

import psycopg
import pytest
from django.contrib.auth.models import Group
from django.db import connection

from dbqueue import enqueue, enqueue_many
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    SHORT,
    finished,
    is_stopped,
    on_demand,
    reasons,
    thorough,
    unfinished,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.proxy import Proxy

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

LONG = {"DBQUEUE": {"LEASE": NEVER}}


@pytest.fixture
def proxy(only_postgres, database_address):
    proxy = Proxy(database_address)
    yield proxy
    proxy.close()


def test_a_worker_whose_connections_fell_silent_makes_new_ones(
    proxy, run_worker, effects, measured
):
    worker = run_worker("--processes", 2, database_url=proxy.url, settings=LONG)
    enqueue(tasks.note, "before")
    effects.wait_for("ended", "before")
    worker.wait_until_working(2)
    proxy.mute()

    muted = time.monotonic()
    enqueue_many(tasks.note, [(i,) for i in range(50)])

    wait_until_empty(worker)
    measured("all that waited was done after", time.monotonic() - muted, at_most=15.0)
    assert finished(state="SUCCESSFUL", failures=0).count() == 51
    assert worker.stop() == 0


@thorough
def test_an_outcome_that_was_sent_into_silence_is_recorded(proxy, run_worker, effects):
    job = enqueue(tasks.work, "long", 1.0)
    worker = run_worker(database_url=proxy.url, settings=LONG)
    effects.wait_for("began", "long")

    proxy.mute()

    record = wait_until_finished(job)
    assert (record.attempt, record.failures) == (1, 0)
    assert effects.counts("ended") == {"long": 1}
    assert worker.process.poll() is None


def waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND query ~ 'picked AS'"
        )
        return cursor.fetchone()[0]


@on_demand
def test_a_claim_that_commits_when_its_worker_no_longer_hears_it_hides_no_job(
    proxy, run_worker, effects, database_address
):
    worker = run_worker(database_url=proxy.url, settings=LONG)
    worker.wait_until_working()
    with psycopg.connect(database_address) as session:
        session.execute("LOCK TABLE dbqueue_worker IN ACCESS EXCLUSIVE MODE")
        job = enqueue(tasks.note, "hidden")
        wait_until(waits_for_a_lock, "the claim waits")
        proxy.mute()
    # The server goes on with it, and nobody is there to be answered.
    wait_until(lambda: unfinished(state="RUNNING").exists(), "it is claimed")

    record = wait_until_finished(job)

    assert reasons(record) in ([], ["released"])
    assert (record.attempt, record.failures) == (2, 0)
    assert effects.counts() == {"hidden": 1}


@on_demand
def test_a_worker_whose_connections_fell_silent_has_left_when_another_takes_its_job(
    proxy, run_worker, effects, tmp_path
):
    leave = tmp_path / "leave"
    lease = {"DBQUEUE": {"LEASE": 6.0}}
    job = enqueue(tasks.work_alone_until, "job", str(leave))
    run_worker(database_url=proxy.url, settings=lease)
    effects.wait_for("began", "job")
    run_worker(settings=lease)

    proxy.mute()

    _, again = effects.wait_for("began", "job", times=2)
    assert again["beside"] == []
    leave.touch()
    assert reasons(wait_until_finished(job)) == ["lost"]
    assert effects.counts() == {"job": 1}


def test_connections_that_are_cut_cost_no_failure(proxy, run_worker, effects):
    enqueue_many(tasks.work, [(i, 0.05) for i in range(100)])
    worker = run_worker("--processes", 2, database_url=proxy.url)
    for share in (20, 50, 80):
        effects.wait_for("ended", times=share)
        proxy.cut()

    wait_until_empty(worker)

    assert finished(state="SUCCESSFUL", failures=0).count() == 100
    assert worker.stop() == 0


def test_a_worker_frozen_behind_the_end_of_an_atomic_job_blocks_no_other(
    only_postgres, run_worker, effects
):
    slow = enqueue_many(tasks.work, [(i, 0.5) for i in range(20)])
    frozen = enqueue(tasks.freeze_before_commit, "frozen")
    run_worker(settings=SHORT)
    effects.wait_for("began", "frozen")
    run_worker(settings=SHORT)

    records = [wait_until_finished(job) for job in (*slow, frozen)]

    assert {record.state for record in records} == {"SUCCESSFUL"}
    assert reasons(records[-1]) == ["lost"]
    assert Group.objects.filter(name="frozen").count() == 1


def test_a_frozen_supervisor_gives_its_childrens_jobs_away(
    run_worker, effects, tmp_path
):
    """They have left by themselves: their supervisor can kill none of them."""
    leave = tmp_path / "leave"
    lease = {"DBQUEUE": {"LEASE": 6.0}}
    job = enqueue(tasks.work_alone_until, "slow", str(leave))
    first = run_worker(settings=lease)
    effects.wait_for("began")
    os.kill(first.pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(first.pid), "the supervisor is stopped")
    run_worker(settings=lease)

    _, again = effects.wait_for("began", times=2)

    assert again["beside"] == []
    leave.touch()
    record = wait_until_finished(job)
    assert (record.attempt, reasons(record)) == (2, ["lost"])
    os.kill(first.pid, signal.SIGCONT)
    enqueue(tasks.note, "after")
    effects.wait_for("ended", "after")
    assert first.stop() == 0
