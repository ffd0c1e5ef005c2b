"""Workers, keepers and meddlers at work on lanes, killed and frozen at any moment.

python -m tests.support.lane_checker SEED SECONDS [MUTANT]

Prints what was broken, and exits with 1 if anything was. Of G1 to G6, an auditor looks
at the counts, each in one snapshot; triggers note the starts and ends of jobs of
ordered lanes and of lanes with a rate; in the end, whatever was lost, everything must
be worked off. A mutant is the gate with a fault, which has to be found.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from datetime import timedelta

import django

django.setup()

from django.db import Error, connection, connections, transaction  # noqa: E402

from dbqueue import dialects, enqueue_many, jobs, limits  # noqa: E402
from dbqueue.dialects.rows import Outcome  # noqa: E402
from dbqueue.dialects.scan import Scan  # noqa: E402
from dbqueue.ids import uuid7  # noqa: E402
from dbqueue.limits.facts import Facts  # noqa: E402
from dbqueue.limits.statements import postgresql as on_postgresql  # noqa: E402
from dbqueue.maintenance import leases, parking, rescue  # noqa: E402
from dbqueue.maintenance.gates import make_ready  # noqa: E402
from dbqueue.models import FinishedJob, Job, Pause  # noqa: E402
from dbqueue.queues import pauses  # noqa: E402
from tests.support import limited_tasks as limited  # noqa: E402

ALIAS = "default"
LEASE = 1.5  # seconds
PATIENCE = 60.0  # seconds in which at least one more of the jobs has to end
WORKERS, KEEPERS, MEDDLERS = 3, 1, 2
RATE, BURST = 50, 5
PAUSABLE = (
    *("limit:ten", "lane:few:1", "queue:other", "limit:order"),
    f"task:{limited.one.module_path}",
)
is_postgresql = connection.vendor == "postgresql"

# (task, arguments) of what is enqueued; few lanes, so that many meet in each.
KINDS = [
    *[(limited.one, (user,)) for user in range(3)],
    *[(limited.busy, (key,)) for key in ("1", "2")],
    *[(limited.ten, ())] * 3,
    *[(limited.step, (order,)) for order in range(3)],
    *[(limited.each, (tenant,)) for tenant in "ab"],
    *[(limited.together, (tenant,)) for tenant in "abcd"],
    *[(limited.brisk, ())] * 2,
]


def main(seed, seconds, mutant=""):
    apply(mutant)
    install_audit()
    connections.close_all()
    arena = Arena(random.Random(seed), seconds)
    arena.run()
    broken = arena.broken() + out_of_order() + too_often()
    done = FinishedJob.objects.count()
    print(f"seed={seed} kills={arena.kills} stops={arena.stops} finished={done}")
    for sentence, times in Counter(broken).most_common(10):
        print(f"BROKEN {times} x {sentence}")
    sys.stdout.flush()
    os._exit(1 if broken else 0)


class Arena:
    """The processes, and what becomes of them."""

    def __init__(self, rng, seconds):
        self.rng = rng
        self.ends_at = time.time() + seconds
        self.kills = self.stops = 0
        self._processes = {}
        self._said = multiprocessing.Queue()

    def run(self):
        for role in [work] * WORKERS + [keep] * KEEPERS:
            self._start(role)
        for _ in range(MEDDLERS):
            self._start(meddle, self.ends_at)
        auditor = self._start(audit)
        stopped = {}
        while time.time() < self.ends_at:
            time.sleep(0.02)
            self._replace_dead()
            mortal = [
                p for p, (role, _) in self._processes.items() if role is not audit
            ]
            victim = self.rng.choice(mortal).pid
            luck = self.rng.random()
            if luck < 0.05:
                self.kills += send(victim, signal.SIGKILL)
            elif luck < 0.08 and not stopped:
                self.stops += send(victim, signal.SIGSTOP)
                stopped[victim] = time.time() + self.rng.choice([0.1, 2 * LEASE])
            for pid, until in list(stopped.items()):
                if time.time() > until:
                    send(pid, signal.SIGCONT)
                    del stopped[pid]
        for pid in stopped:
            send(pid, signal.SIGCONT)
        # Those that came for killed ones, too: they might pause something afterwards.
        for process, (role, _) in list(self._processes.items()):
            if role is meddle:
                process.join()
        self._calm_down(auditor)

    def _calm_down(self, auditor):
        for key in PAUSABLE:
            Pause.objects.filter(pk=key).delete()
        least, since = Job.objects.count(), time.time()
        # A machine that does much else may be slow, but not for ever.
        while least and time.time() - since < PATIENCE:
            self._replace_dead()
            time.sleep(0.05)
            if (left := Job.objects.count()) < least:
                least, since = left, time.time()
        left = Counter(Job.objects.values_list("state", "lane"))
        if left:
            self._said.put(f"G5: left for ever: {dict(left)}")
        for process in self._processes:
            send(process.pid, signal.SIGKILL)
        auditor.join()

    def broken(self):
        sentences = []
        time.sleep(0.1)
        while not self._said.empty():
            sentences.append(self._said.get())
        return sentences

    def _start(self, role, *given):
        seed = self.rng.random()
        connections.close_all()  # a fork would share ours
        process = multiprocessing.Process(
            target=live, args=(role, seed, self._said, *given), daemon=True
        )
        process.start()
        self._processes[process] = role, given
        return process

    def _replace_dead(self):
        for process, (role, given) in list(self._processes.items()):
            if process.exitcode is None:
                continue
            del self._processes[process]
            if process.exitcode not in (0, -signal.SIGKILL):
                self._said.put(f"{role.__name__} ended with {process.exitcode}")
            if process.exitcode != 0:
                self._start(role, *given)


def live(role, seed, said, *given):
    rng = random.Random(seed)
    try:
        role(rng, said, *given)
    except Exception as error:
        said.put(f"{role.__name__} raised {type(error).__name__}: {error}"[:300])
        raise


def send(pid, number):
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return 1
    return 0


@contextmanager
def mortal(rng, odds):
    """Die by SIGKILL before or after any statement, at these odds."""

    def execute(execute, sql, params, many, context):
        if rng.random() < odds:
            os.kill(os.getpid(), signal.SIGKILL)
        if rng.random() < 10 * odds:
            time.sleep(rng.random() * 0.02)
        answer = execute(sql, params, many, context)
        if rng.random() < odds:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    with connection.execute_wrapper(execute):
        yield


@contextmanager
def outlived():
    """Pass over what the database refuses for a moment, as when it is locked."""
    try:
        yield
    except Error as error:
        state = getattr(error.__cause__, "sqlstate", "")
        if state not in ("40P01", "40001") and "locked" not in str(error):
            raise


def work(rng, said):
    dialect, me, held = dialects.of(ALIAS), uuid7(), []
    scan, beat = Scan([["*"]]), 0.0
    with mortal(rng, 0.0005):
        while True:
            if time.monotonic() - beat > LEASE / 6:
                now = time.monotonic()
                # One that was declared dead begins anew, as a replaced child does.
                if beat and me in leases.heartbeat(ALIAS, [me], lease=LEASE):
                    me, held = uuid7(), []
                    beat = 0.0
                if not beat:
                    with outlived():
                        leases.register(ALIAS, me, lease=LEASE, **WORKER)
                beat = now
            with outlived():
                outcomes = [outcome(rng, job) for job in held]
                if rng.random() < 0.1:
                    dialect.owed.clear()  # news that are lost
                _, held = dialect.finish_and_claim(
                    me, outcomes, scan, rng.randint(1, 8)
                )
            held = [job for job in held if job.fate is None]  # or its task is paused
            if not held:
                time.sleep(0.005)
            elif rng.random() < 0.3:
                time.sleep(rng.random() * 0.01)


WORKER = {"name": "checker", "host": "", "pid": 0, "queues": "*"}


def outcome(rng, job):
    luck, fence = rng.random(), {"id": job.id, "attempt": job.attempt, "gate": job.gate}
    if luck < 0.7:
        return Outcome(**fence, state="SUCCESSFUL", result="null")
    if luck < 0.75:
        return Outcome(**fence, state="FAILED", failed=1)
    delay = 0.0 if luck < 0.9 else rng.choice([0.01, 0.05, 0.3])
    return Outcome(**fence, state="READY", delay=delay)


def keep(rng, said):
    with mortal(rng, 0.0005):
        while True:
            with outlived():
                leases.condemn(ALIAS)
                rescue.rescue_orphans(ALIAS)
                parking.sweep(ALIAS)
                make_ready(ALIAS)
            time.sleep(0.03)


def meddle(rng, said, ends_at):
    """Enqueue, cancel, retry, pause, lower and raise; in transactions, too."""
    while time.time() < ends_at:
        with outlived():
            rng.choice(MEDDLING)(rng)
        time.sleep(rng.random() * 0.02)


def write(rng):
    with transaction.atomic():
        for _ in range(rng.randint(1, 3)):
            task, args = rng.choice(KINDS)
            task = task.using(
                priority=0 if task is limited.step else rng.choice([0, 0, 10]),
                queue_name=rng.choice(["default", "default", "other"]),
                run_after=rng.choice([None, None, None, timedelta(milliseconds=50)]),
            )
            enqueue_many(task, [args] * rng.randint(1, 3))
        if rng.random() < 0.2:
            time.sleep(rng.random() * 0.05)  # somebody's long transaction
        if rng.random() < 0.1:
            transaction.set_rollback(True)


def hear(rng):
    with suppress(IndexError):
        job = rng.choice(list(Job.objects.blocked()[:50]))
        dialect = dialects.of(ALIAS)
        with dialect.one_commit():
            dialect.open_gates([job.fair_group or job.lane])
            time.sleep(rng.random() * 0.01)


def change(rng):
    limits.set(
        rng.choice(["ten", "few", "all of them"]), concurrency=rng.randint(1, 10)
    )


def pause(rng):
    kind, _, name = rng.choice(PAUSABLE).partition(":")
    act = rng.choice([pauses.begin, pauses.end])
    act(ALIAS, kind, name)


def move(rng):
    with suppress(IndexError):
        job = rng.choice(list(Job.objects.all()[:50]))
        if rng.random() < 0.4:
            jobs.cancel(job.pk)
        elif "order" not in (job.lane or ""):
            jobs.set_priority(job.pk, rng.randint(-5, 5))


def retry(rng):
    with suppress(IndexError):
        ended = FinishedJob.objects.exclude(lane__startswith="order")
        jobs.retry(rng.choice(list(ended.order_by("-finished_at")[:20])).pk)


MEDDLING = [write] * 12 + [hear] * 4 + [change, pause, move, move, retry]


# ---- what must hold

COUNTS = """
SELECT k.key, k.held, k.ready,
    coalesce(l.concurrency, r.set_concurrency, r.concurrency), r.is_ordered,
    r.set_at IS NOT NULL,
    EXISTS (SELECT 1 FROM dbqueue_pause WHERE key = 'lane:' || k.key
            OR key = 'limit:' || r.name)
FROM (SELECT CASE WHEN fair_group <> '' AND lane NOT LIKE 'each:%%' THEN fair_group
        ELSE lane END AS key, count(*) AS held,
        sum(CASE WHEN state = 'READY' THEN 1 ELSE 0 END) AS ready
      FROM dbqueue_job WHERE lane IS NOT NULL AND state IN ('READY', 'RUNNING')
      GROUP BY 1) AS k
JOIN dbqueue_limitrule AS r ON k.key = r.name OR k.key LIKE r.name || ':%%'
LEFT JOIN dbqueue_lane AS l ON l.key = k.key
"""


def audit(rng, said):
    """Count again and again, each time in one snapshot."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(COUNTS)
            found = cursor.fetchall()
        for key, held, ready, most, is_ordered, was_set, is_paused in found:
            most = 1 if is_ordered else most
            # What runs may be beyond a limit that was lowered; nothing more is READY.
            if most is not None and held > most and (ready or not was_set):
                said.put(f"G1: {key}: {held} of {most} held, {ready} ready")
            if is_paused and ready:
                said.put(f"G1: {key} is paused, and {ready} ready")
        time.sleep(0.002)


def install_audit():
    with connection.cursor() as cursor:
        for statement in POSTGRESQL_AUDIT if is_postgresql else SQLITE_AUDIT:
            cursor.execute(statement)


POSTGRESQL_AUDIT = (
    """CREATE TABLE IF NOT EXISTS checked (
        n bigserial, lane text, id text, what text, at float8)""",
    """CREATE OR REPLACE FUNCTION check_run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.state = 'RUNNING' AND OLD.state = 'READY'
            AND (NEW.lane LIKE 'order:%%' OR NEW.lane LIKE 'brisk:%%') THEN
            INSERT INTO checked (lane, id, what, at) VALUES (NEW.lane, NEW.id, 'run',
                extract(epoch FROM clock_timestamp()));
        END IF;
        RETURN NEW;
    END $$""",
    """CREATE OR REPLACE FUNCTION check_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.lane LIKE 'order:%%' THEN
            INSERT INTO checked (lane, id, what) VALUES (OLD.lane, OLD.id, 'end');
        END IF;
        RETURN OLD;
    END $$""",
    """CREATE OR REPLACE TRIGGER check_run AFTER UPDATE ON dbqueue_job
        FOR EACH ROW EXECUTE FUNCTION check_run()""",
    """CREATE OR REPLACE TRIGGER check_end AFTER DELETE ON dbqueue_job
        FOR EACH ROW EXECUTE FUNCTION check_end()""",
)
SQLITE_AUDIT = (
    """CREATE TABLE IF NOT EXISTS checked (
        n integer PRIMARY KEY, lane text, id text, what text, at real)""",
    """CREATE TRIGGER IF NOT EXISTS check_run AFTER UPDATE OF state ON dbqueue_job
    WHEN NEW.state = 'RUNNING' AND OLD.state = 'READY'
        AND (NEW.lane LIKE 'order:%' OR NEW.lane LIKE 'brisk:%')
    BEGIN INSERT INTO checked (lane, id, what, at) VALUES (NEW.lane, NEW.id, 'run',
        (julianday('now') - 2440587.5) * 86400.0); END""",
    """CREATE TRIGGER IF NOT EXISTS check_end AFTER DELETE ON dbqueue_job
    WHEN OLD.lane LIKE 'order:%'
    BEGIN INSERT INTO checked (lane, id, what) VALUES (OLD.lane, OLD.id, 'end'); END""",
)


def noted(what):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT lane, id, what, at FROM checked WHERE {what} ORDER BY n"
        )
        return cursor.fetchall()


def out_of_order():
    """G6: between the first start and the end of a job, no other of its lane starts."""
    running, broken = {}, []
    for lane, id, what, _ in noted("lane LIKE 'order:%'"):
        if what == "end":
            if running.get(lane) == id:
                del running[lane]
        elif running.setdefault(lane, id) != id:
            broken.append(f"G6: {lane}: one ran while another had not ended")
    return broken


def too_often():
    """In any time, no more starts than the documented bound."""
    starts, broken = defaultdict(list), []
    for lane, _, _, at in noted("what = 'run' AND lane LIKE 'brisk:%'"):
        starts[lane].append(at)
    for lane, moments in starts.items():
        moments.sort()
        for n, moment in enumerate(moments):
            for time_ in (0.1, 1.0, 3.0):
                some = bisect_left(moments, moment + time_) - n
                if some > RATE * time_ + 2 * BURST:
                    broken.append(f"rate: {lane}: {some} in {time_} s")
    return broken


# ---- mutants


def apply(mutant):
    if mutant:
        MUTANTS[mutant]()


def no_lock():
    locked = on_postgresql.LOCK
    on_postgresql.LOCK = locked.replace(
        "FOR NO KEY UPDATE OF dbqueue_lane SKIP LOCKED", ""
    )
    assert locked != on_postgresql.LOCK


def one_statement():
    no_lock()
    counted = on_postgresql.FACTS
    on_postgresql.FACTS = counted.replace(
        "LEFT JOIN dbqueue_lane AS l ON l.key = k.key",
        """LEFT JOIN LATERAL (SELECT * FROM dbqueue_lane AS x WHERE x.key = k.key
            FOR NO KEY UPDATE) AS l ON true""",
    )
    assert counted != on_postgresql.FACTS
    filled = on_postgresql.FILL
    on_postgresql.FILL = filled.replace(
        "FROM dbqueue_lane AS l JOIN",
        """FROM (SELECT * FROM dbqueue_lane WHERE key = ANY(%(keys)s::text[])
            FOR NO KEY UPDATE) AS l JOIN""",
    )
    assert filled != on_postgresql.FILL


def no_head():
    counted = ("READY", "RUNNING")
    Facts.head = None
    Facts._room = lambda facts: (
        1 - sum(state in counted for state in facts.holders.values())
        if facts.is_ordered
        else (10**6 if facts.most is None else facts.most - len(facts.held))
    )


def no_count():
    """Of SQLite, which has no other lock than that of its only writer."""
    Facts._room = lambda facts: 10**6 if facts.most is None else facts.most


MUTANTS = {
    "no lock": no_lock,
    "one statement": one_statement,
    "no head": no_head,
    "no count": no_count,
}

if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
