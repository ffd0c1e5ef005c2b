"""What is measured, one function each, and what has to be reached."""

from functools import partial
from io import BytesIO

from PIL import Image

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
    dbqueue,
    pgqueuer,
)
from tests.benchmarks.report import Spread

RATE = "jobs/s"


def drain(bench):
    """A backlog of no-op jobs, PostgreSQL; with Redis beside it."""
    on_postgres = partial(partial, bench.drain, bench.postgres)
    contest = {
        "dbqueue": on_postgres(DBQUEUE),
        "pgqueuer, batch 100": on_postgres(pgqueuer(100)),
        "pgqueuer, batch 500": on_postgres(pgqueuer(500)),
        "procrastinate": on_postgres(PROCRASTINATE),
        "django-tasks-db": on_postgres(TASKS_DB),
        "django-q2": on_postgres(Q2),
    }
    if bench.redis:
        on_redis = partial(partial, bench.drain, bench.redis)
        contest["dramatiq, Redis, no results"] = on_redis(DRAMATIQ)
        contest["celery, Redis"] = on_redis(CELERY)
    found = bench.interleave("Drain of no-op jobs, PostgreSQL", contest)
    bar, times = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("drain, PostgreSQL, times django-tasks-db", times("django-tasks-db"), least=25)
    pgqueuers = times("pgqueuer, batch 100"), times("pgqueuer, batch 500")
    bar("drain, PostgreSQL, times pgqueuer at its best", min(pgqueuers), least=1.0)
    worker = found.of("dbqueue", "worker µs/job")
    database = found.of("dbqueue", "database µs/job")
    bar("CPU of the worker a job", worker, most=50, aim=38, unit="µs")
    bar("CPU of PostgreSQL a job", database, most=20, aim=14, unit="µs")


def drain_sqlite(bench):
    """The same on SQLite."""
    on_sqlite = partial(partial, bench.drain, bench.sqlite)
    found = bench.interleave(
        "Drain of no-op jobs, SQLite",
        {
            "dbqueue": on_sqlite(DBQUEUE),
            "huey": on_sqlite(HUEY),
            "django-tasks-db": on_sqlite(TASKS_DB),
        },
    )
    bar, times = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("drain, SQLite, times django-tasks-db", times("django-tasks-db"), least=25)
    bar("drain, SQLite, times huey", times("huey"), least=2, aim=3)


def drain_beside(bench):
    """The same where commits need no disk, beside a million rows, from four queues."""
    rows = bench.some(1_000_000)

    def finished(run):
        run.side("backlog", 1)
        run.drain()
        multiply(run, "dbqueue_finishedjob", rows)

    def scheduled(run):
        run.side("backlog", 1)
        later = "state = 'SCHEDULED', run_after = now() + interval '1 year'"
        run.store.ask(run.url, f"UPDATE dbqueue_job SET {later}")
        multiply(run, "dbqueue_job", rows)

    drained = partial(partial, bench.drain, peer=DBQUEUE)
    contest = {
        "alone": drained(bench.postgres),
        "1 million finished": drained(bench.postgres, prepare=finished),
        "1 million scheduled": drained(bench.postgres, prepare=scheduled),
        "four queues": drained(bench.postgres, step=("four_queues",)),
    }
    if bench.in_memory:
        contest["on tmpfs"] = drained(bench.in_memory)
    found = bench.interleave("Drain by dbqueue, PostgreSQL", contest)
    bar, ratio = bench.report.bar, partial(found.ratio, what=RATE)
    bar("drain, fsync / tmpfs", ratio("alone", "on tmpfs"), least=0.8, aim=0.9)
    for beside in ("1 million finished", "1 million scheduled"):
        bar(f"drain, {beside} / none", ratio(beside, "alone"), least=0.95)
    bar("drain, four queues / one", ratio("four queues", "alone"))


def multiply(run, table, rows):
    """Copy the only row of the table so many times."""
    columns = run.store.ask(
        run.url,
        f"""SELECT string_agg(attname, ', ') FROM pg_attribute
        WHERE attrelid = '{table}'::regclass AND attnum > 0 AND attname <> 'id'""",
    )
    run.store.ask(
        run.url,
        f"""INSERT INTO {table} (id, {columns}) SELECT uuidv7(interval '-1 day'),
        {columns} FROM {table}, generate_series(2, {rows})""",
    )


def drain_pinned(bench):
    """390,000 jobs, while a transaction elsewhere keeps vacuum from removing rows."""
    drained = partial(
        partial,
        bench.drain,
        bench.postgres,
        jobs=390_000,
        beside=bench.postgres.horizon,
    )
    found = bench.interleave(
        "Drain of 390,000 jobs under a pinned xmin horizon",
        {"dbqueue": drained(DBQUEUE), "pgqueuer, batch 500": drained(pgqueuer(500))},
        rounds=1,
    )
    kept = found.of("dbqueue", "last/first")
    bench.report.bar(
        "drain, pinned horizon, last / first tenth", kept, least=0.8, aim=0.9
    )


def enqueue(bench):
    """One by one, each in a transaction of its own, PostgreSQL."""
    one_by_one = partial(partial, bench.rate, bench.postgres)
    steps = "one_by_one", bench.some(4_000)
    found = bench.interleave(
        "Enqueue one by one, PostgreSQL",
        {
            "dbqueue": one_by_one(DBQUEUE, *steps),
            "pgqueuer": one_by_one(PGQUEUER, *steps),
            "django-tasks-db": one_by_one(TASKS_DB, *steps),
            "bare": one_by_one(BARE, *steps),
        },
    )
    bar, times = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar(
        "enqueue, PostgreSQL, times django-tasks-db",
        times("django-tasks-db"),
        least=1.8,
    )
    bar("enqueue, PostgreSQL, times pgqueuer", times("pgqueuer"), least=1.0)
    bar("enqueue, PostgreSQL, times a bare INSERT", times("bare"), aim=0.65)


def enqueue_sqlite(bench):
    """The same on SQLite."""
    one_by_one = partial(partial, bench.rate, bench.sqlite)
    steps = "one_by_one", bench.some(4_000)
    found = bench.interleave(
        "Enqueue one by one, SQLite",
        {
            "dbqueue": one_by_one(DBQUEUE, *steps),
            "huey": one_by_one(HUEY, *steps),
            "django-tasks-db": one_by_one(TASKS_DB, *steps),
            "bare": one_by_one(BARE, *steps),
        },
    )
    bar, times = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("enqueue, SQLite, times django-tasks-db", times("django-tasks-db"), least=2.5)
    bar("enqueue, SQLite, times a bare INSERT", times("bare"), aim=0.65)


def enqueue_within(bench):
    """One by one in one surrounding transaction, PostgreSQL."""
    within = partial(partial, bench.rate, bench.postgres)
    steps = "within", bench.some(4_000)
    bench.interleave(
        "Enqueue one by one in one transaction, PostgreSQL",
        {
            "dbqueue": within(DBQUEUE, *steps),
            "django-tasks-db": within(TASKS_DB, *steps),
            "bare": within(BARE, *steps),
        },
    )


def enqueue_many(bench):
    """10,000 at once, PostgreSQL."""
    at_once = partial(partial, bench.rate, bench.postgres)
    steps = "at_once", bench.some(10_000), 5
    found = bench.interleave(
        "Enqueue 10,000 at once, PostgreSQL",
        {
            "dbqueue": at_once(DBQUEUE, *steps),
            "pgqueuer": at_once(PGQUEUER, *steps),
            "procrastinate": at_once(PROCRASTINATE, *steps),
            "bare": at_once(BARE, *steps),
        },
    )
    bar, times = bench.report.bar, partial(found.ratio, "dbqueue", what=RATE)
    bar("enqueue_many, 10,000, times pgqueuer", times("pgqueuer"), least=1.5)
    bar("enqueue_many, 10,000, times a bare unnest", times("bare"), aim=0.6)


def latency(bench):
    """From enqueue's return to the start in an idle worker, PostgreSQL."""
    waited = partial(partial, bench.latency, bench.postgres)
    found = bench.interleave(
        "Pickup latency at 10 to 20 jobs/s, PostgreSQL",
        {
            "dbqueue": waited(DBQUEUE),
            "pgqueuer": waited(PGQUEUER),
            "bare": waited(BARE, "enqueue_and_notify"),
        },
    )
    bar, ratio = bench.report.bar, partial(found.ratio, "dbqueue", "bare")
    bar("pickup, PostgreSQL, p50 / bare LISTEN and claim", ratio("p50 ms"), most=2)
    bar("pickup, PostgreSQL, p99 / bare LISTEN and claim", ratio("p99 ms"), most=3)
    latest = found.of("dbqueue", "latest ms")
    bar("pickup, PostgreSQL, latest", latest, most=1000, unit="ms, one poll")


def latency_sqlite(bench):
    """The same on SQLite."""
    waited = partial(partial, bench.latency, bench.sqlite)
    found = bench.interleave(
        "Pickup latency at 10 to 20 jobs/s, SQLite",
        {"dbqueue": waited(DBQUEUE), "huey": waited(HUEY)},
    )
    p50, p99 = found.of("dbqueue", "p50 ms"), found.of("dbqueue", "p99 ms")
    bench.report.bar("pickup, SQLite, p50", p50, most=8, aim=5, unit="ms")
    bench.report.bar("pickup, SQLite, p99", p99, most=20, unit="ms")


def sleepers(bench):
    """Jobs that sleep 10 ms, in threads and async, PostgreSQL."""
    slept = partial(partial, bench.drain, bench.postgres)
    threads = dbqueue("--processes 2 --threads 32")
    tasks = dbqueue("--processes 2 --async-concurrency 1000")
    found = bench.interleave(
        "Jobs that sleep 10 ms, PostgreSQL",
        {
            "dbqueue, 2 x 32 threads": slept(
                threads, jobs=25_000, step=("backlog", "sleep")
            ),
            "dbqueue, async": slept(tasks, jobs=60_000, step=("backlog", "asleep")),
            "pgqueuer, async": slept(
                pgqueuer(100), jobs=60_000, step=("backlog", "asleep")
            ),
        },
    )
    rates = found.of("dbqueue, 2 x 32 threads", RATE)
    possible = Spread(rate / 6_400 for rate in rates)
    both = found.ratio("dbqueue, async", "pgqueuer, async", RATE)
    bar = bench.report.bar
    bar("10 ms sleepers, threads, of 6,400/s", possible, least=0.85, aim=0.95)
    bar("10 ms sleepers, async, times pgqueuer", both, least=0.6, aim=1.0)


def photos(bench):
    """Small pictures of large ones, two threads, PostgreSQL."""
    count = bench.some(150, least=20)
    found = bench.interleave(
        "Photos of 3 MB made small, in the database, 2 threads",
        {
            "dbqueue": partial(
                bench.drain,
                bench.postgres,
                dbqueue("--processes 1 --threads 2"),
                jobs=150,
                step=("backlog", "photo"),
                prepare=original,
            ),
            "bare": partial(
                bench.rate, bench.postgres, BARE, "photos", count, 2, prepare=original
            ),
        },
    )
    ratio = found.ratio("dbqueue", "bare", RATE)
    bench.report.bar("photos, times the bare script", ratio, least=0.95)


def original(run):
    """Put a photo of about 3 MB into the database, as noisy as one from a camera."""
    noise = Image.effect_noise((3200, 2400), 24)
    file = BytesIO()
    Image.merge("YCbCr", [noise] * 3).save(file, "JPEG", quality=75)
    ask = partial(run.store.ask, run.url)
    ask("CREATE TABLE original (data bytea)")
    ask("CREATE TABLE thumbnail (number int, data bytea)")
    ask("INSERT INTO original VALUES (%s)", [file.getvalue()])


def idle(bench):
    """Two worker processes without a job."""
    on_postgres = partial(partial, bench.idle, bench.postgres)
    found = bench.interleave(
        "Idle worker, two processes",
        {
            "dbqueue": on_postgres(DBQUEUE),
            "pgqueuer": on_postgres(PGQUEUER),
            "procrastinate": on_postgres(PROCRASTINATE),
            "django-tasks-db": on_postgres(TASKS_DB),
            "dbqueue, SQLite": partial(bench.idle, bench.sqlite, DBQUEUE),
            "huey, SQLite": partial(bench.idle, bench.sqlite, HUEY),
        },
        rounds=1,
    )
    bar, of = bench.report.bar, partial(found.of, "dbqueue")
    bar("idle, PostgreSQL, CPU", of("CPU %"), most=1, aim=0.5, unit="%")
    bar("idle, PostgreSQL, queries", of("queries/s"), most=3, unit="/s")
    bar("idle, PostgreSQL, memory", of("PSS MiB"), most=90, unit="MiB")
    of = partial(found.of, "dbqueue, SQLite")
    bar("idle, SQLite, CPU", of("CPU %"), most=1.5, unit="%")
    bar("idle, SQLite, memory", of("PSS MiB"), most=90, unit="MiB")


def ready(bench):
    """From the start of a worker to that of its first job."""
    found = bench.interleave(
        "From runworker to the first job's start, and manage.py check",
        {
            "PostgreSQL": partial(bench.ready, bench.postgres, DBQUEUE),
            "SQLite": partial(bench.ready, bench.sqlite, DBQUEUE),
        },
    )
    for name in found:
        ratio = found.of(name, "ready / check")
        bench.report.bar(f"ready to run, {name}, / check", ratio, most=1.5)
