"""What is measured, one function each, and what has to be reached."""

from functools import partial

from tests.benchmarks.peers import (
    BARE,
    CELERY,
    DBQUEUE,
    DRAMATIQ,
    HUEY,
    PGQUEUER,
    PROCRASTINATE,
    Q2,
    TASKS_DB,
    pgqueuer,
)

RATE, US, BACK_US = "jobs/s", "worker µs/job", "database µs/job"


def drain(bench):
    """A backlog of no-op jobs, PostgreSQL; with Redis beside it."""
    drained = partial(partial, bench.drain)
    contest = {
        "dbqueue": drained(bench.postgres, DBQUEUE),
        "pgqueuer, batch 100": drained(bench.postgres, pgqueuer(100)),
        "pgqueuer, batch 500": drained(bench.postgres, pgqueuer(500)),
        "procrastinate": drained(bench.postgres, PROCRASTINATE),
        "django-tasks-db": drained(bench.postgres, TASKS_DB),
        "django-q2": drained(bench.postgres, Q2),
    }
    if bench.redis:
        contest["dramatiq, Redis, no results"] = drained(bench.redis, DRAMATIQ)
        contest["celery, Redis"] = drained(bench.redis, CELERY)
    found = bench.interleave("Drain of no-op jobs, PostgreSQL", contest)
    bar, ratio = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("drain, PostgreSQL, times django-tasks-db", ratio("django-tasks-db"), least=25)
    pgqueuers = [ratio("pgqueuer, batch 100"), ratio("pgqueuer, batch 500")]
    bar("drain, PostgreSQL, times pgqueuer at its best", min(pgqueuers), least=1.0)
    worker, database = (found.of("dbqueue", cpu) for cpu in (US, BACK_US))
    bar("CPU of the worker a job", worker, most=50, aim=38, unit="µs")
    bar("CPU of PostgreSQL a job", database, most=20, aim=14, unit="µs")


def drain_sqlite(bench):
    """The same on SQLite."""
    drained = partial(partial, bench.drain, bench.sqlite)
    found = bench.interleave(
        "Drain of no-op jobs, SQLite",
        {
            "dbqueue": drained(DBQUEUE),
            "huey": drained(HUEY),
            "django-tasks-db": drained(TASKS_DB),
        },
    )
    bar, ratio = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("drain, SQLite, times django-tasks-db", ratio("django-tasks-db"), least=25)
    bar("drain, SQLite, times huey", ratio("huey"), least=2, aim=3)


def enqueue(bench):
    """Enqueue one by one, each in a transaction of its own; both databases."""
    count = bench.some(4_000)
    for store, name, least in (
        (bench.postgres, "PostgreSQL", 1.8),
        (bench.sqlite, "SQLite", 2.5),
    ):
        one_by_one = {
            "dbqueue": partial(bench.enqueue, store, DBQUEUE, "one_by_one", count),
            "django-tasks-db": partial(
                bench.enqueue, store, TASKS_DB, "one_by_one", count
            ),
            "a bare INSERT": partial(bench.enqueue, store, BARE, "one_by_one", count),
        }
        if store is bench.postgres:
            one_by_one["pgqueuer"] = partial(
                bench.enqueue, store, PGQUEUER, "one_by_one", count
            )
        found = bench.interleave(f"Enqueue one by one, {name}", one_by_one)
        bar, ratio = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
        what = f"enqueue one by one, {name}, times"
        bar(f"{what} django-tasks-db", ratio("django-tasks-db"), least=least)
        if store is bench.postgres:
            bar(f"{what} pgqueuer", ratio("pgqueuer"), least=1.0)
        bar(f"{what} a bare INSERT", ratio("a bare INSERT"), aim=0.65)


def enqueue_within(bench):
    """Enqueue one by one in one surrounding transaction, PostgreSQL."""
    within = partial(partial, bench.enqueue, bench.postgres)
    count = bench.some(4_000)
    bench.interleave(
        "Enqueue one by one in one transaction, PostgreSQL",
        {
            "dbqueue": within(DBQUEUE, "within", count),
            "django-tasks-db": within(TASKS_DB, "within", count),
            "bare INSERTs": within(BARE, "within", count),
        },
    )


def bulk(bench):
    """Enqueue 10,000 at once, PostgreSQL."""
    at_once = partial(partial, bench.enqueue, bench.postgres)
    steps = "at_once", bench.some(10_000), 5
    found = bench.interleave(
        "Enqueue 10,000 at once, PostgreSQL",
        {
            "dbqueue": at_once(DBQUEUE, *steps),
            "pgqueuer": at_once(PGQUEUER, *steps),
            "procrastinate": at_once(PROCRASTINATE, *steps),
            "a bare unnest": at_once(BARE, *steps),
        },
    )
    bar, ratio = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("enqueue_many(10,000), times pgqueuer", ratio("pgqueuer"), least=1.5)
    bar("enqueue_many(10,000), times a bare unnest", ratio("a bare unnest"), aim=0.6)
