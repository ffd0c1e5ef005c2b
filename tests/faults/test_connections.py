"""Each kind of connection is terminated, refused, or slow, and the worker goes on."""

import sys
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection

from dbqueue.models import Worker
from tests.settings import database
from tests.support import worker_tasks as tasks
from tests.support.processes import (
    NEVER,
    PATIENCE,
    ROOT,
    finished,
    on_demand,
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
LATER = timedelta(seconds=15)  # more than two of the shortest leases here

# By what each said last: a child asks for its queue, the keeper for many things.
KINDS = {
    "claim": "query LIKE '%%max(queue_name)%%'",
    "heartbeat": "query !~ '^LISTEN|max.queue_name|of a job'",
    "listen": "query LIKE 'LISTEN%%'",
    "job": "query LIKE '%%of a job%%'",
}
OF_OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"


def terminate(condition="true"):
    """End the connections that the condition names; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            f"WHERE {OF_OTHERS} AND {condition}"
        )
        return cursor.fetchone()[0]


def pids(condition):
    """Return the server's processes of the connections that the condition names."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pid FROM pg_stat_activity WHERE {OF_OTHERS} AND {condition}"
        )
        return {pid for (pid,) in cursor.fetchall()}


def is_heard(worker, jobs, effects):
    """Wait for a job that only a notification can have started."""
    wait_until(lambda: worker.output.count("Listening for") == 2, "it hears again")
    jobs.one(tasks.note, "next")
    effects.wait_for("ended", "next")


def is_kept(worker, jobs, effects):
    """Wait for what only the keeper does: a promotion, and a heartbeat."""
    seen = Worker.objects.get().last_seen
    jobs.one(tasks.note.using(run_after=timedelta(seconds=0.1)), "next")
    effects.wait_for("ended", "next")
    wait_until(lambda: Worker.objects.get().last_seen > seen, "the lease is renewed")


def is_worked(worker, jobs, effects):
    jobs.one(tasks.note, "next")
    effects.wait_for("ended", "next")


# What shows that the connection is there again. Nobody polls, and no other does that.
PROOFS = {
    "claim": is_worked,
    "heartbeat": is_kept,
    "listen": is_heard,
    "job": is_worked,
}
SELDOM = {"DBQUEUE": {"LEASE": 6.0, "POLL_INTERVAL": NEVER}}


@pytest.mark.parametrize("kind", KINDS)
def test_work_goes_on_when_a_connection_is_terminated(
    kind, only_postgres, run_worker, jobs, effects, measured
):
    worker = run_worker("-v", 2, settings=SELDOM)
    worker.wait_for_output("Listening for notifications")
    slow = jobs.one(tasks.query_slowly, "slow") if kind == "job" else None
    wait_until(lambda: terminate(KINDS[kind]), "it is there, and ended")
    ended = time.monotonic()

    PROOFS[kind](worker, jobs, effects)

    what = f"worked again without its {kind} connection after"
    measured(what, since(ended), at_most=5.0)
    if slow:
        record = wait_until_finished(slow)
        assert (record.state, reasons(record)) == ("SUCCESSFUL", ["failed"])
    jobs.drained(worker)
    assert finished(failures=0).count() == 1
    assert worker.process.poll() is None


# The lease is longer than an answer is waited for: nobody else takes its jobs.
LONG = {"DBQUEUE": {"LEASE": 60.0, "POLL_INTERVAL": NEVER}}


@thorough
@pytest.mark.parametrize("kind", PROOFS)
def test_work_goes_on_when_one_connection_falls_silent(
    kind, meddler, run_worker, jobs, effects, measured
):
    """The others answer; that of a job is the job's, and its timeout is the limit."""
    limit = {"TIMEOUT": 3.0} if kind == "job" else {}
    settings = {"DBQUEUE": {**LONG["DBQUEUE"], **limit}}
    worker = run_worker("-v", 2, settings=settings, database_url=meddler.url)
    worker.wait_for_output("Listening for notifications")
    slow = jobs.one(tasks.query_slowly, "slow") if kind == "job" else None
    silent = wait_until(lambda: pids(KINDS[kind]), "it is there")
    meddler.mute(silent)
    fell = time.monotonic()

    PROOFS[kind](worker, jobs, effects)

    measured(f"worked with a silent {kind} connection after", since(fell))
    if slow:
        record = wait_until_finished(slow)
        assert (record.state, reasons(record)) == ("SUCCESSFUL", ["timeout"])
    jobs.drained(worker)
    assert finished(failures=0).count() == 1
    assert worker.process.poll() is None


# What each says in a drain, where it does not come to the end of its words.
IN_A_DRAIN = {
    "claim": "query ~ 'picked AS|WITH gone|max.queue_name|^(BEGIN|COMMIT)'",
    "heartbeat": "query !~ '^LISTEN|picked AS|WITH gone|max.queue_name'",
    "listen": "query LIKE 'LISTEN%%'",
}


@thorough
@pytest.mark.parametrize("kind", IN_A_DRAIN)
def test_nothing_is_lost_when_one_kind_is_terminated_again_and_again(
    kind, only_postgres, run_worker, jobs, effects, measured
):
    count, hits = scaled(200, 2000), 0
    jobs.many(tasks.work, [(i, 0.01) for i in range(count)])
    worker = run_worker("--processes", 2, settings=PATIENT)
    for share in range(1, 10):
        effects.wait_for("ended", times=count * share // 10)
        hits += wait_until(lambda: terminate(IN_A_DRAIN[kind]), "it is there")

    wait_until_empty(worker, 2 * PATIENCE)

    measured(f"terminated ({kind})", hits, "times")
    jobs.check(at_rest=True)
    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == count


@on_demand
@pytest.mark.parametrize(
    ("trouble", "amount", "told"),
    [
        ("delay", 0.05, "50 ms each way"),
        pytest.param("delay", 0.5, "500 ms each way", marks=thorough),
        ("loss", 0.02, "2 % of packets lost"),
        pytest.param("loss", 0.1, "10 % of packets lost", marks=thorough),
    ],
)
def test_a_network_that_is_slow_or_loses_what_is_sent_costs_speed_and_no_second_run(
    trouble, amount, told, meddler, run_worker, jobs, effects, measured
):
    count = 60
    jobs.many(tasks.work, [(i, 0.01) for i in range(count)])
    worker = run_worker(database_url=meddler.url)
    worker.wait_until_working()
    setattr(meddler, trouble, amount)
    began = time.monotonic()

    wait_until_empty(worker, 5 * PATIENCE)

    measured(f"{count} jobs with {told} took", since(began), "s")
    assert effects.counts() == dict.fromkeys(range(count), 1)
    setattr(meddler, trouble, 0.0)
    jobs.drained(worker)


# Each way: a sixth and a third of the lease until an answer is there.
@thorough
@pytest.mark.parametrize("delay", [0.5, 1.0])
def test_a_worker_whose_heartbeats_are_late_has_left_when_another_takes_its_job(
    delay, meddler, run_worker, jobs, effects, tmp_path
):
    leave = tmp_path / "leave"
    settings = {"DBQUEUE": {"LEASE": 6.0}}
    job = jobs.one(tasks.work_alone_until, "slow", str(leave))
    run_worker("--worker-name", "far", database_url=meddler.url, settings=settings)
    effects.wait_for("began", "slow")
    run_worker("--worker-name", "near", settings=settings)
    far = Worker.objects.get(name="far")
    meddler.delay = delay

    def is_decided():
        """Tell whether the lease is long over, or was renewed again and again."""
        seen = Worker.objects.filter(pk=far.pk, last_seen__gt=far.last_seen + LATER)
        return seen.exists() or len(effects.all("began", "slow")) > 1

    wait_until(is_decided, "it keeps its lease, or another has its job")

    for again in effects.all("began", "slow")[1:]:
        assert again["beside"] == []
    meddler.delay = 0.0
    leave.touch()
    record = wait_until_finished(job)
    assert reasons(record) in ([], ["released"], ["lost"])
    assert effects.counts() == {"slow": 1}


@thorough
def test_answers_that_are_later_than_anyone_waits_cost_no_second_run(
    meddler, run_worker, jobs, effects
):
    count = 20
    jobs.many(tasks.work, [(i, 0.3) for i in range(count)])
    worker = run_worker("--threads", 2, database_url=meddler.url, settings=PATIENT)
    effects.wait_for("ended", times=2)

    meddler.delay = 5.0
    worker.wait_for_output("No answer for")
    meddler.delay = 0.0

    wait_until_empty(worker)
    jobs.drained(worker)
    assert effects.counts() == dict.fromkeys(range(count), 1)
    assert finished(state="SUCCESSFUL", failures=0).count() == count


# No connection to be had


@pytest.fixture
def limited(only_postgres, transactional_db):
    """Return a role of which a test may limit the connections."""
    role = f"{connection.settings_dict['NAME']}_limited"  # roles are the server's
    execute(f"CREATE ROLE {role} LOGIN")
    execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
    yield role
    terminate(f"usename = '{role}'")
    execute(f"DROP OWNED BY {role}")
    execute(f"DROP ROLE {role}")


@pytest.fixture
def as_limited(limited, database_address):
    """Return settings for a worker that connects as the limited role."""
    entry = database(database_address) | {"USER": limited, "PASSWORD": ""}
    return {"DATABASES": {"default": entry}, **PATIENT}


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def limit_connections(role, number):
    execute(f"ALTER ROLE {role} CONNECTION LIMIT {number}")
    if not number:
        terminate(f"usename = '{role}'")


def test_a_worker_waits_until_it_may_have_connections_again(
    limited, as_limited, run_worker, jobs, effects, measured
):
    worker = run_worker("--threads", 2, settings=as_limited)
    jobs.one(tasks.note, "before")
    effects.wait_for("ended", "before")
    limit_connections(limited, 0)
    worker.wait_for_output("too many connections")
    jobs.many(tasks.note, [(i,) for i in range(20)])

    limit_connections(limited, -1)

    free = time.monotonic()
    wait_until_empty(worker)
    measured("worked again after", since(free), at_most=6.0)
    jobs.drained(worker)
    assert finished(failures=0).count() == 21
    assert "Traceback" not in worker.output


def test_a_worker_starts_once_it_may_have_connections(
    limited, as_limited, run_worker, jobs, effects
):
    limit_connections(limited, 0)
    jobs.one(tasks.note, "patience")
    worker = run_worker(settings=as_limited)
    worker.wait_for_output("too many connections")

    limit_connections(limited, -1)

    effects.wait_for("ended", "patience")
    jobs.drained(worker)
    assert "Traceback" not in worker.output


def since(moment):
    return time.monotonic() - moment


# Default isolation


# An enqueue may be refused, as any statement may there; it is told, and does it again.
INSISTENT = """
import sys
import django
django.setup()
from django.db import OperationalError
from dbqueue import enqueue
from tests.support.worker_tasks import note
for i in range(int(sys.argv[2])):
    while True:
        try:
            enqueue(note, f"{sys.argv[1]}{i}")
            break
        except OperationalError as error:
            if error.__cause__.sqlstate != "40001":
                raise
"""


@on_demand
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_stricter_default_isolation_changes_no_result(
    level, alter_database, start, run_worker, jobs, effects, measured
):
    """Every session of the worker, and of who enqueues meanwhile, has it."""
    alter_database("default_transaction_isolation", level)
    count, more = scaled(300, 3000), scaled(50, 300)
    jobs.many(tasks.note, [(i,) for i in range(count)])
    atomic = [f"atomic {i}" for i in range(20)]
    jobs.many(tasks.write_atomically_again, [(key,) for key in atomic])
    workers = [run_worker("--processes", 2, settings=PATIENT) for _ in range(2)]
    command = [sys.executable, "-c", INSISTENT]
    enqueuers = [
        start(command, [f"{level} {i} ", more], PYTHONPATH=ROOT) for i in range(2)
    ]
    for enqueuer in enqueuers:
        assert enqueuer.wait() == 0

    wait_until_empty(workers[0])

    moments = [line["at"] for line in effects.all("ended")]
    measured(level, len(moments) / (max(moments) - min(moments)), "jobs/s")
    # The transaction of an atomic job may be refused; it is run again, and not failed.
    jobs.check(at_rest=True)
    once = {key: times for key, times in effects.counts().items() if key not in atomic}
    assert len(once) == count + 2 * more
    assert set(once.values()) == {1}
    assert finished(failures=0).count() == count + 2 * more + len(atomic)
    assert Group.objects.count() == len(atomic)
