"""Jobs that do what jobs must not do, and the jobs beside and behind them."""

from itertools import pairwise

import pytest

from tests.support import worker_tasks as tasks
from tests.support.processes import (
    finished,
    on_demand,
    reasons,
    scaled,
    wait_until_empty,
    wait_until_finished,
)

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "statement",
    [
        "SET search_path TO nowhere",
        pytest.param(
            "SELECT set_config('search_path', 'nowhere', false)", marks=on_demand
        ),
        pytest.param("SET TIME ZONE 'Pacific/Chatham'", marks=on_demand),
        pytest.param("SET statement_timeout TO '1ms'", marks=on_demand),
        "SELECT pg_advisory_lock(4)",
    ],
)
def test_what_a_job_set_in_its_session_ends_with_it(
    statement, only_postgres, run_worker, jobs
):
    jobs.one(tasks.say_to_database, "messy", statement)
    probe = "SELECT current_setting('search_path') || current_setting('TimeZone')"
    probe += " || current_setting('statement_timeout')"
    probe += " || (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    jobs.one(tasks.say_to_database.using(priority=9), "before", probe)
    jobs.one(tasks.say_to_database.using(priority=-9), "after", probe)
    worker = run_worker("--threads", 1)

    jobs.drained(worker)

    before, after = [finished(args__0=key).get().result for key in ("before", "after")]
    assert before == after
    assert finished(state="SUCCESSFUL", attempt=1).count() == 3


def test_what_a_job_told_sqlite_ends_with_it(only_sqlite, run_worker, jobs):
    jobs.one(tasks.say_to_database, "messy", "PRAGMA query_only = ON")
    jobs.one(tasks.describe_surroundings.using(priority=-9), "after")
    worker = run_worker("--threads", 1)

    jobs.drained(worker)

    assert finished(state="SUCCESSFUL", attempt=1).count() == 2


def test_a_job_that_runs_out_of_memory_fails_alone(run_worker, jobs, effects, measured):
    hungry = jobs.one(tasks.exhaust_memory.using(priority=1), "hungry")
    jobs.many(tasks.note, [(i,) for i in range(20)])
    worker = run_worker("--threads", 1)

    record = wait_until_finished(hungry)

    assert (record.state, reasons(record)) == ("FAILED", ["failed"])
    assert "MemoryError" in record.attempt_log[0]["exception"]
    jobs.drained(worker)
    assert effects.counts() == dict.fromkeys(range(20), 1)
    assert effects.pids("began") == effects.pids("ended")  # the same child


def test_jobs_behind_a_poison_job_wait_no_longer_than_a_child_takes_to_start(
    run_worker, jobs, effects, measured
):
    """The database as well as the machine decide how long that is."""
    count = scaled(20, 200)
    poison = jobs.one(tasks.kill_itself.using(priority=1), "poison")
    jobs.many(tasks.note, [(i,) for i in range(count)])
    worker = run_worker("--threads", 1)

    wait_until_empty(worker)

    jobs.check(at_rest=True)
    record = finished().get(pk=poison.id)
    assert (record.state, reasons(record)) == ("FAILED", ["lost", "lost"])
    assert finished(state="SUCCESSFUL", failures=0).count() == count
    good = [line["at"] for line in effects.all("ended")]
    died = [line["at"] for line in effects.all("began", "poison")]
    pauses = [second - first for first, second in pairwise([died[0], *good])]
    measured("longest wait of the jobs behind it", max(pauses), at_most=1.5)


@on_demand
def test_poison_jobs_among_good_ones_are_sorted_out(run_worker, jobs, effects):
    """Beside a poison job, others are lost as often as it takes them to come apart."""
    count = scaled(60, 600)
    poison = jobs.many(tasks.kill_itself, [(f"poison {i}",) for i in range(3)])
    jobs.many(tasks.work, [(i, 0.005) for i in range(count)])
    worker = run_worker("--processes", 2, "--threads", 1)

    wait_until_empty(worker)

    jobs.check(at_rest=True)
    assert finished(state="SUCCESSFUL").count() == count
    assert {r.state for r in finished(pk__in=[job.id for job in poison])} == {"FAILED"}
