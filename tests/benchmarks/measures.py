"""What is measured, one function each, and what has to be reached."""

from functools import partial
from io import BytesIO

from PIL import Image

from tests.benchmarks.peers import (
    BARE,
    BARE_DJANGO,
    DBQUEUE,
    DBQUEUE_PREPARED,
    HUEY,
    LANED,
    PGQUEUER,
    PGQUEUER_500,
    PROCRASTINATE,
    Q2,
    Q2_CLUSTERS,
    Q2_ON_DBQUEUE,
    REDIS,
    RELAYED,
    SCHEDULED,
    TASKS_DB,
    TASKS_DB_PREPARED,
    UNCOUNTED,
    WATCHED,
    dbqueue,
)
from tests.benchmarks.report import Spread


def among(way, *peers):
    """Return what to run for each of the peers, to be measured in the same way."""
    return {peer.label or peer.name: partial(way, peer) for peer in peers}


def drain(bench):
    """a backlog of no-op jobs, PostgreSQL; others on Redis beside it"""
    on_postgres = partial(bench.drain, bench.postgres)
    contest = among(
        on_postgres, DBQUEUE, PGQUEUER, PGQUEUER_500, PROCRASTINATE, TASKS_DB, Q2
    )
    if bench.redis:
        contest |= among(partial(bench.drain, bench.redis), *REDIS)
    found = bench.interleave("Drain of no-op jobs, PostgreSQL", contest)
    pgqueuer = min(found.times("pgqueuer"), found.times("pgqueuer, batch 500"))
    worker = found.of("dbqueue", "worker µs/job")
    server = found.of("dbqueue", "database µs/job")
    bar = bench.report.bar
    bar("drain, PostgreSQL, times django-tasks-db", found.times(TASKS_DB.name), "≥", 25)
    bar("drain, PostgreSQL, times pgqueuer at its best", pgqueuer, "≥", 1.0)
    bar("CPU of the worker a job", worker, "≤", 50, aim=38, unit="µs")
    bar("CPU of PostgreSQL a job", server, "≤", 20, aim=14, unit="µs")


def drain_sqlite(bench):
    """the same on SQLite"""
    way = partial(bench.drain, bench.sqlite)
    contest = among(way, DBQUEUE, HUEY, TASKS_DB)
    found = bench.interleave("Drain of no-op jobs, SQLite", contest)
    bar = bench.report.bar
    bar("drain, SQLite, times django-tasks-db", found.times(TASKS_DB.name), "≥", 25)
    bar("drain, SQLite, times huey", found.times("huey"), "≥", 2, aim=3)


def beside_sqlite(bench):
    """what the writes of another process take during such a drain"""
    contest = among(partial(bench.crowd_out, bench.sqlite), DBQUEUE, HUEY, TASKS_DB)
    title = "Writes of somebody else during a drain of no-op jobs, SQLite"
    found = bench.interleave(title, contest)
    p99 = found.of("dbqueue", "p99 ms")
    bench.report.bar("another's write during a drain, SQLite, p99 in ms", p99)


def drain_beside(bench):
    """the same without a disk to wait for, beside a million rows, from four queues"""
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

    way = partial(bench.drain, bench.postgres, DBQUEUE)
    contest = {
        "alone": way,
        "1 million finished": partial(way, prepare=finished),
        "1 million scheduled": partial(way, prepare=scheduled),
        "four queues": partial(way, step=("four_queues",)),
    }
    if bench.in_memory:
        contest["on tmpfs"] = partial(bench.drain, bench.in_memory, DBQUEUE)
    found = bench.interleave("Drain of no-op jobs by dbqueue, PostgreSQL", contest)
    bar, on_tmpfs = bench.report.bar, found.times("on tmpfs", "alone")
    bar("drain, fsync / tmpfs", on_tmpfs, "≥", 0.8, aim=0.9)
    for beside in ("1 million finished", "1 million scheduled"):
        bar(f"drain, {beside} / none", found.times("alone", beside), "≥", 0.95)
    bar("drain, four queues / one", found.times("alone", "four queues"))


def multiply(run, table, rows):
    """Copy the only row of the table so many times."""
    ask = partial(run.store.ask, run.url)
    columns = ask(
        f"""SELECT string_agg(attname, ', ') FROM pg_attribute
        WHERE attrelid = '{table}'::regclass AND attnum > 0 AND attname <> 'id'"""
    )
    ask(
        f"""INSERT INTO {table} (id, {columns}) SELECT uuidv7(interval '-1 day'),
        {columns} FROM {table}, generate_series(2, {rows})"""
    )


def drain_pinned(bench):
    """390,000 jobs, while a transaction elsewhere keeps vacuum from removing rows"""
    pinned = {"jobs": 390_000, "beside": bench.postgres.horizon}
    contest = among(
        partial(bench.drain, bench.postgres, **pinned), DBQUEUE, PGQUEUER_500
    )
    title = "Drain of 390,000 jobs under a pinned xmin horizon"
    kept = bench.interleave(title, contest).of("dbqueue", "last/first")
    title = "drain, pinned horizon, last / first tenth"
    bench.report.bar(title, kept, "≥", 0.8, aim=0.9)


def watched(bench):
    """a drain beside ten tabs of the admin, and beside ten who wait, PostgreSQL"""
    _watched(bench, bench.postgres, "PostgreSQL")


def watched_sqlite(bench):
    """the same on SQLite"""
    _watched(bench, bench.sqlite, "SQLite")


def _watched(bench, store, where):
    way = partial(bench.drain_watched, store, WATCHED)
    contest = {
        "nobody": way,
        "ten tabs": partial(way, tabs=10),
        "ten viewers": partial(way, viewers=10),
    }
    found = bench.interleave(f"Drain that somebody looks at, {where}", contest)
    for who in ("ten tabs", "ten viewers"):
        kept = found.of(who, "jobs/s") / found.of("nobody", "jobs/s")
        bench.report.bar(f"drain, {where}, {who} / nobody", kept, "≥", 0.95)


def counted(bench):
    """what the statistics take of a drain of no-op jobs, PostgreSQL"""
    _counted(bench, bench.postgres, "PostgreSQL")


def counted_sqlite(bench):
    """the same on SQLite"""
    _counted(bench, bench.sqlite, "SQLite")


def _counted(bench, store, where):
    contest = among(partial(bench.drain, store), UNCOUNTED, DBQUEUE)
    found = bench.interleave(f"Drain with and without statistics, {where}", contest)
    kept = found.times(UNCOUNTED.label)
    bench.report.bar(f"drain, {where}, with statistics / without", kept, "≥", 0.98)


def enqueue(bench):
    """one by one, each in a transaction of its own, PostgreSQL"""
    way = partial(bench.rate, bench.postgres, step="one_by_one", count=4_000)
    kept = DBQUEUE_PREPARED, TASKS_DB_PREPARED
    contest = among(way, DBQUEUE, PGQUEUER, TASKS_DB, *kept, BARE, BARE_DJANGO)
    found = bench.interleave("Enqueue one by one, PostgreSQL", contest)
    bar, times = bench.report.bar, found.times
    ours, theirs = DBQUEUE_PREPARED.label, TASKS_DB_PREPARED.label
    tasks_db = "enqueue, PostgreSQL, {}, times django-tasks-db"
    bar(tasks_db.format("prepared"), times(TASKS_DB.name, ours), "≥", 1.8)
    bar(tasks_db.format("both prepared"), times(theirs, ours))
    bar(tasks_db.format("not prepared"), times(TASKS_DB.name))
    pgqueuer = "enqueue, PostgreSQL, {}, times pgqueuer"
    bar(pgqueuer.format("prepared"), times("pgqueuer", ours), "≥", 1.0)
    bar(pgqueuer.format("not prepared"), times("pgqueuer"))
    title = "enqueue, PostgreSQL, prepared, times a bare INSERT"
    bar(title, times("bare", ours), aim=0.65)


def enqueue_sqlite(bench):
    """the same on SQLite"""
    way = partial(bench.rate, bench.sqlite, step="one_by_one", count=4_000)
    contest = among(way, DBQUEUE, HUEY, TASKS_DB, BARE)
    found = bench.interleave("Enqueue one by one, SQLite", contest)
    bar, tasks_db = bench.report.bar, found.times(TASKS_DB.name)
    bar("enqueue, SQLite, times django-tasks-db", tasks_db, "≥", 2.5)
    bar("enqueue, SQLite, times a bare INSERT", found.times("bare"), aim=0.65)


def enqueue_within(bench):
    """one by one in one surrounding transaction, PostgreSQL"""
    way = partial(bench.rate, bench.postgres, step="within", count=4_000)
    contest = among(way, DBQUEUE, TASKS_DB, BARE)
    bench.interleave("Enqueue one by one in one transaction, PostgreSQL", contest)


def enqueue_many(bench):
    """10,000 at once, five times, PostgreSQL"""
    way = partial(bench.rate, bench.postgres, step="at_once", count=10_000)
    contest = among(way, DBQUEUE, PGQUEUER, PROCRASTINATE, BARE)
    found = bench.interleave("Enqueue 10,000 at once, PostgreSQL", contest)
    bar = bench.report.bar
    bar("enqueue_many, 10,000, times pgqueuer", found.times("pgqueuer"), "≥", 1.5)
    bar("enqueue_many, 10,000, times a bare unnest", found.times("bare"), aim=0.6)


def latency(bench):
    """from enqueue's return to the start in an idle worker, PostgreSQL"""
    way = partial(bench.latency, bench.postgres)
    contest = among(way, DBQUEUE, PGQUEUER, BARE)
    found = bench.interleave("Pickup at 10 to 20 jobs/s, PostgreSQL", contest)
    bar, latest = bench.report.bar, found.of("dbqueue", "latest ms")
    for what, most in (("p50", 2), ("p99", 3)):
        ratio = found.of("dbqueue", f"{what} ms") / found.of("bare", f"{what} ms")
        bar(f"pickup, PostgreSQL, {what} / bare LISTEN and claim", ratio, "≤", most)
    bar(
        "pickup, PostgreSQL, p99",
        found.of("dbqueue", "p99 ms"),
        "≤",
        aim=2.5,
        unit="ms",
    )
    bar("pickup, PostgreSQL, latest (one poll)", latest, "≤", 1000, unit="ms")


def latency_sqlite(bench):
    """the same on SQLite"""
    contest = among(partial(bench.latency, bench.sqlite), DBQUEUE, HUEY)
    found = bench.interleave("Pickup at 10 to 20 jobs/s, SQLite", contest)
    p50, p99 = found.of("dbqueue", "p50 ms"), found.of("dbqueue", "p99 ms")
    bench.report.bar("pickup, SQLite, p50", p50, "≤", 8, aim=5, unit="ms")
    bench.report.bar("pickup, SQLite, p99", p99, "≤", 20, unit="ms")


def ticks(bench):
    """200 schedules of a second, on three hosts, PostgreSQL"""
    _ticks(bench, bench.postgres, "PostgreSQL", 50)


def ticks_sqlite(bench):
    """the same on SQLite"""
    _ticks(bench, bench.sqlite, "SQLite", 150)


def _ticks(bench, store, where, most):
    contest = {"dbqueue": partial(bench.lateness, store, SCHEDULED)}
    found = bench.interleave(f"From tick to job, 200 schedules, {where}", contest)
    p99 = found.of("dbqueue", "p99 ms")
    bench.report.bar(f"from tick to job, {where}, p99", p99, "≤", most, unit="ms")


def lanes(bench):
    """jobs under limits beside plain ones, PostgreSQL"""
    _lanes(bench, bench.postgres, "PostgreSQL")


def lanes_sqlite(bench):
    """the same on SQLite"""
    _lanes(bench, bench.sqlite, "SQLite")


def _lanes(bench, store, where):
    way = partial(bench.drain, store, LANED)
    contest = {
        "plain": way,
        "1,000 lanes of 1": partial(way, step=("backlog", "thousand")),
        "one lane of 10": partial(way, jobs=8_000, step=("backlog", "ten")),
    }
    if store is not bench.sqlite:
        locks, limit = ("backlog", "thousand"), ("backlog", "ten")
        contest["procrastinate, 1,000 locks"] = partial(
            bench.drain, store, PROCRASTINATE, step=locks
        )
        contest["pgqueuer, concurrency_limit=10"] = partial(
            bench.drain, store, PGQUEUER, jobs=8_000, step=limit
        )
    found = bench.interleave(f"Drain of no-op jobs with limits, {where}", contest)
    bar, times = bench.report.bar, found.times
    bar(
        f"1,000 lanes of 1, {where}, / plain",
        times("plain", "1,000 lanes of 1"),
        "≥",
        0.4,
    )
    bar(
        f"one lane of 10, {where}, / plain", times("plain", "one lane of 10"), "≥", 0.08
    )
    for theirs, ours in (
        ("procrastinate, 1,000 locks", "1,000 lanes of 1"),
        ("pgqueuer, concurrency_limit=10", "one lane of 10"),
    ):
        if theirs in found:
            bar(f"{ours}, times {theirs}", times(theirs, ours))
    pickup = partial(bench.latency, store, LANED)
    contest = {"plain": pickup, "laned": partial(pickup, step="trickle_laned")}
    found = bench.interleave(f"Pickup of a lone job in a lane, {where}", contest)
    ratio = found.of("laned", "p50 ms") / found.of("plain", "p50 ms")
    bar(f"pickup in a lane, {where}, p50 / plain", ratio, "≤", 2)


def many_lanes(bench):
    """a million jobs that wait in 100,000 lanes, beside as many plain ones"""
    _many_lanes(bench, bench.postgres, "PostgreSQL")


def many_lanes_sqlite(bench):
    """the same on SQLite"""
    _many_lanes(bench, bench.sqlite, "SQLite")


def _many_lanes(bench, store, where):
    way = partial(bench.drain, store, LANED, jobs=1_000_000)
    contest = {
        "plain": way,
        "100,000 lanes of 1": partial(way, step=("backlog", "many")),
    }
    found = bench.interleave(
        f"Drain of 1 million no-op jobs, {where}", contest, rounds=1
    )
    ratio = found.times("plain", "100,000 lanes of 1")
    bench.report.bar(f"100,000 lanes of 1, {where}, / plain", ratio, "≥", 0.4)


def fairness(bench):
    """small tenants that come while 200,000 jobs of a big one wait"""
    contest = {
        "PostgreSQL": partial(bench.fairness, bench.postgres, LANED, big=200_000),
        "SQLite": partial(bench.fairness, bench.sqlite, LANED, big=200_000),
    }
    found = bench.interleave(
        "Small tenants beside a big one, nine of 100 jobs", contest
    )
    for where in found:
        first = found.of(where, "first job, ms")
        bench.report.bar(
            f"a small tenant's first job, {where}", first, "≤", 100, unit="ms"
        )


def sleepers(bench):
    """jobs that sleep 10 ms, in threads and async, PostgreSQL"""
    threads = dbqueue("--processes 2 --threads 32", "dbqueue, 2 x 32 threads")
    tasks = dbqueue("--processes 2 --async-concurrency 1000", "dbqueue, async")
    way = partial(bench.drain, bench.postgres)
    sync = partial(way, jobs=25_000, step=("backlog", "sleep"))
    asynchronous = partial(way, jobs=60_000, step=("backlog", "asleep"))
    contest = among(sync, threads) | among(asynchronous, tasks, PGQUEUER)
    found = bench.interleave("Jobs that sleep 10 ms, PostgreSQL", contest)
    possible = Spread(rate / 6_400 for rate in found.of(threads.label, "jobs/s"))
    bar, pgqueuer = bench.report.bar, found.times("pgqueuer", tasks.label)
    bar("10 ms sleepers, threads, of 6,400/s", possible, "≥", 0.85, aim=0.95)
    bar("10 ms sleepers, async, times pgqueuer", pgqueuer, "≥", 0.6, aim=1.0)


def photos(bench):
    """small pictures of large ones, in two threads, PostgreSQL"""
    threads = dbqueue("--processes 1 --threads 2")
    queued = partial(bench.drain, bench.postgres, jobs=300, step=("backlog", "photo"))
    alone = partial(bench.rate, bench.postgres, step="photos", count=300)
    contest = among(partial(queued, prepare=original), threads)
    contest |= among(partial(alone, prepare=original), BARE)
    found = bench.interleave("Photos of 3 MB in the database made small", contest)
    bench.report.bar("photos, times the bare script", found.times("bare"), "≥", 0.95)


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
    """two worker processes without a job"""
    on_postgres = partial(bench.idle, bench.postgres)
    on_sqlite = partial(bench.idle, bench.sqlite)
    contest = among(on_postgres, DBQUEUE, PGQUEUER, PROCRASTINATE, TASKS_DB)
    contest["dbqueue, SQLite"] = partial(on_sqlite, DBQUEUE)
    contest["huey, SQLite"] = partial(on_sqlite, HUEY)
    found = bench.interleave("Idle worker, two processes", contest, rounds=1)
    bar, of = bench.report.bar, partial(found.of, "dbqueue")
    bar("idle, PostgreSQL, CPU", of("CPU %"), "≤", 1, aim=0.5, unit="%")
    bar("idle, PostgreSQL, queries", of("queries/s"), "≤", 3, unit="/s")
    bar("idle, PostgreSQL, memory", of("PSS MiB"), "≤", 90, unit="MiB")
    of = partial(found.of, "dbqueue, SQLite")
    bar("idle, SQLite, CPU", of("CPU %"), "≤", 1.5, unit="%")
    bar("idle, SQLite, memory", of("PSS MiB"), "≤", 90, unit="MiB")


def ready(bench):
    """from the start of a worker to that of its first job"""
    contest = {
        "PostgreSQL": partial(bench.ready, bench.postgres, DBQUEUE),
        "SQLite": partial(bench.ready, bench.sqlite, DBQUEUE),
    }
    found = bench.interleave("From runworker's start to the first job's", contest)
    for name in found:
        ratio = found.of(name, "ready / check")
        bench.report.bar(f"ready to run, {name}, / check", ratio, "≤", 1.5)


def clusters(bench):
    """three clusters of django-q2, on its broker and on dbqueue's, PostgreSQL"""
    count = bench.some(2000, least=100)

    def way(peer):
        with bench.run(bench.postgres, peer, count) as run:
            run.side("backlog", count)
            before = transactions(run)
            found = run.drain()
            return found | {"transactions/task": (transactions(run) - before) / count}

    contest = among(way, Q2_CLUSTERS, Q2_ON_DBQUEUE)
    found = bench.interleave("Three clusters of django-q2, PostgreSQL", contest)
    theirs, ours = Q2_CLUSTERS.label, Q2_ON_DBQUEUE.label
    bar = bench.report.bar
    bar("clusters of django-q2, our broker / theirs", found.times(theirs, ours), "≥", 1)


def relay(bench):
    """a relay to Celery on RabbitMQ, and what its workers drain, PostgreSQL"""
    if bench.rabbitmq is None:
        return

    def way(step, count):
        count = bench.some(count, least=200)
        bench.rabbitmq.empty()
        with bench.run(bench.postgres, RELAYED, count) as run:
            run.env["BROKER"] = bench.rabbitmq.url
            if step == "one_at_a_time":  # no rows
                return {"jobs/s": run.side(step, count)}
            run.side("backlog", count)
            bench.postgres.settle(run.url)
            published = run.side("relay" if step == "work" else step, count)
            return {"jobs/s": run.drain()["jobs/s"] if step == "work" else published}

    contest = {
        "relay": partial(way, "relay", 20_000),
        "relay, a message at a time": partial(way, "relay_one_at_a_time", 2_000),
        "send_task(), a message at a time": partial(way, "one_at_a_time", 2_000),
        "Celery's workers": partial(way, "work", 4_000),
    }
    found = bench.interleave("Relay to Celery on RabbitMQ, PostgreSQL", contest)
    alone = found.times("relay, a message at a time", "relay")
    without_rows = found.times("send_task(), a message at a time", "relay")
    worked = found.times("Celery's workers", "relay")
    bar = bench.report.bar
    bar("relay to RabbitMQ, times a confirm at a time", alone, "≥", 5)
    title = "relay to RabbitMQ, times send_task(), a confirm at a time"
    bar(title, without_rows, aim=5)
    bar("relay to RabbitMQ, times what Celery's workers drain", worked, "≥", 1)


def transactions(run):
    """Return how many the database has committed; its sessions have ended."""
    return run.store.ask(
        run.url,
        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
    )


MEASURES = {
    function.__name__.replace("_", "-"): function
    for function in (
        *(drain, drain_sqlite, beside_sqlite, drain_beside, drain_pinned),
        *(watched, watched_sqlite, counted, counted_sqlite),
        *(enqueue, enqueue_sqlite, enqueue_within, enqueue_many),
        *(latency, latency_sqlite, ticks, ticks_sqlite, lanes, lanes_sqlite),
        *(many_lanes, many_lanes_sqlite, fairness, sleepers, photos, idle, ready),
        *(clusters, relay),
    )
}
