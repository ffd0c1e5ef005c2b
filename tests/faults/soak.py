"""Rounds of load and random faults, and the invariants after each; see tests/soak."""

import re
import sys
import time
from contextlib import ExitStack, suppress
from datetime import timedelta
from threading import Event
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, transaction

from dbqueue import enqueue
from dbqueue.models import FinishedJob, Job
from tests.faults.clock import LIBRARIES, Clock
from tests.faults.disk import small_disk
from tests.faults.mayhem import Mayhem, resident, sizes
from tests.faults.meddler import Meddler
from tests.support import invariants
from tests.support import worker_tasks as tasks
from tests.support.invariants import broken
from tests.support.processes import (
    MANAGE,
    Effects,
    WorkerProcess,
    environment,
    wait_until,
)
from tests.support.worker_fixtures import busyness

ROUND = 40.0  # seconds of load and faults between two checks
PAUSE = 1.5  # seconds between two faults, on average
# Seconds until what has not ended is taken for lost, where nothing else is at work.
PATIENCE = 90.0
TICK = 0.1  # seconds between two batches of jobs
BATCH = 10  # jobs
WORKERS = 2
MEBIBYTE = 2**20
# What may be larger than after the first round, by how many times and bytes more.
GROWTH, ROOM = 1.5, 64 * MEBIBYTE
LINES_OF_JOB, LINES_OF_ROUND = 12, 20_000
# One connection is that of the loop.
POOL = {"DATABASE_POOL": {"min_size": 1, "max_size": 4, "timeout": 2.0}}
DISK = 64  # mebibytes


class Soak:
    """Workers on the database of the URL, under load and faults."""

    def __init__(self, rng, folder, url):
        self.rng = rng
        self.folder = folder
        self.effects = Effects(folder / "effects")
        self.url = url
        self.meddler = Meddler(url) if url.startswith("postgres") else None
        self.stack = ExitStack()
        self.disk = a_disk(self.stack, folder)
        # SQLite has the clock of its host: a step there is a step of the database's.
        stepping = self.meddler and LIBRARIES
        self.clock = Clock(folder) if stepping else None
        self.mayhem = Mayhem(rng, self.meddler, self.disk, self.clock)
        self.started = self.rounds = self.jobs = self.lines = 0
        self.most_connected = self.normal = 0  # connections
        self.slowest, self.first, self.worst = 0.0, {}, {}
        self.workers = [self.start() for _ in range(WORKERS)]
        self.dead = []  # whose children may still be finishing
        self.forgotten = set()  # keys of rounds that were checked

    def start(self):
        """Start a worker: some of them with a pool, or with a clock that steps."""
        self.started += 1
        url = self.meddler.url if self.meddler else self.url
        settings, more = {}, {"TMPDIR": self.disk.path}
        if self.meddler and self.started % 3 == 0:
            settings = POOL
        if self.clock and self.started % 4 == 1:
            more |= self.clock.environment
        return WorkerProcess(
            [sys.executable, MANAGE, "runworker", "--processes", 2],
            environment(url, self.effects, settings, **more),
            self.disk.path / f"worker-{self.started}.log",
        )

    def close(self):
        self.mayhem.undo()
        for worker in (*self.workers, *self.dead):
            worker.kill_all()
        if self.meddler:
            self.meddler.close()
        self.stack.close()

    def round(self, seconds):
        """Load and harm them, let them recover, and return what is broken."""
        load, pause = Load(self.rng), Event()
        end = time.monotonic() + seconds
        strike_at = time.monotonic()
        while time.monotonic() < end:
            with suppress(OperationalError):  # SQLite: a frozen writer keeps us out
                load.enqueue(BATCH)
            if time.monotonic() >= strike_at:
                self.mayhem.strike(self.workers)
                strike_at = time.monotonic() + self.rng.expovariate(1 / PAUSE)
            self.replace_the_dead()
            self.count_connections()
            pause.wait(TICK)  # the pace of the load, not the wait for an outcome
        self.mayhem.undo()
        return self.recover(load)

    def replace_the_dead(self):
        for place, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                self.dead.append(worker)
                self.workers[place] = self.start()
        self.dead = [worker for worker in self.dead if worker.family()]

    def count_connections(self):
        if self.meddler:
            self.most_connected = max(self.most_connected, len(invariants.backends()))

    def recover(self, load):
        began = time.monotonic()
        patience = PATIENCE * max(1.0, busyness())

        def drained():
            self.replace_the_dead()
            late = time.monotonic() - began > patience
            return late or not Job.objects.exists()

        wait_until(drained, "no job is left", 2 * patience)
        sentences = broken(
            committed=load.committed,
            rolled_back=load.rolled_back,
            effects=self.effects,
            excused=self.forgotten | load.atomic,
            at_rest=True,
        )
        sentences += [f"Not ended: {job.pk}" for job in Job.objects.all()[:10]]
        sentences += load.wrong_effects()
        seconds = time.monotonic() - began
        sentences += self.unbounded(load)
        sentences += self.evidence(sentences)
        self.tell(load, seconds)
        self.forgotten |= load.keys
        load.forget()
        return sentences

    def unbounded(self, load):
        """Return a sentence for each thing that grew beyond its bound."""
        sizes_now = {"memory": resident(self.workers), **sizes()}
        self.first = self.first or sizes_now
        for what, size in sizes_now.items():
            self.worst[what] = max(size, self.worst.get(what, 0))
            most = GROWTH * self.first[what] + ROOM
            if size > most:
                yield f"I7: {what} has {size} bytes, and not {most:.0f}"
        # Of the workers as they are now, and not when they have been stopped.
        self.normal = sum(worker.most_connections() for worker in self.workers)
        if self.most_connected >= 2 * self.normal:
            yield f"I7: {self.most_connected} connections, not twice {self.normal}"
        logs = self.disk.path.glob("worker-*.log")
        lines = sum(log.read_bytes().count(b"\n") for log in logs)
        most = LINES_OF_JOB * len(load.committed) + LINES_OF_ROUND
        if lines - self.lines > most:
            yield f"I7: {lines - self.lines} lines in the logs, and not {most}"
        self.lines = lines

    def evidence(self, sentences):
        """Return what is known of the jobs that the sentences name."""
        text = " ".join(sentences)
        for key in sorted(set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", text)))[:5]:
            for job in (
                *FinishedJob.objects.filter(pk=key),
                *Job.objects.filter(pk=key),
            ):
                yield f"  {job} {job.state} attempt={job.attempt} {job.attempt_log}"
                yield f"  worker={job.worker_id} run_after={job.run_after}"
            yield from (f"  {line}" for line in self.effects.all(key=key))
            for log in sorted(self.disk.path.glob("*.log")):
                lines = log.read_text().splitlines()
                yield from (f"  {log.stem}: {line}" for line in lines if key in line)

    def tell(self, load, seconds):
        """Note what this round was like, for who watches."""
        history = FinishedJob.objects
        self.rounds += 1
        self.jobs += len(load.committed)
        self.slowest = max(self.slowest, seconds)
        again = history.filter(attempt__gt=1).count()
        failed = history.filter(state="FAILED").count()
        facts = [
            f"round {self.rounds}: {len(load.committed)} jobs",
            f"{again} tried again",
            f"{failed} failed",
            f"{len(load.rolled_back)} rolled back",
            f"drained after {seconds:.1f} s",
            f"{WORKERS} workers have {resident(self.workers) / MEBIBYTE:.0f} MiB",
            *(f"{name} {size / MEBIBYTE:.1f} MiB" for name, size in sizes().items()),
            f"at most {self.most_connected} connections",
            f"faults {self.mayhem.done}",
        ]
        self.told = "; ".join(facts)

    def facts(self):
        """Return what was measured in all rounds, as by the fixture `measured`."""
        yield "rounds", self.rounds, "", ""
        yield "jobs", self.jobs, "", ""
        yield "faults", sum(self.mayhem.done.values()), "", ""
        yield "kinds of them", len(self.mayhem.done), "", ""
        yield "all was done after a round within", round(self.slowest, 1), "s", PATIENCE
        for what, size in self.worst.items():
            yield f"{what}, at most", round(size / MEBIBYTE, 1), "MiB", ""
        if self.meddler:
            yield "connections, at most", self.most_connected, "", 2 * self.normal


class NoDisk:
    """Stands for a small disk where nothing may be mounted."""

    def __init__(self, path):
        self.path = path

    def fill(self):
        """Do nothing."""

    make_room = fill


def a_disk(stack, folder):
    """Return what all workers write to, which is easily full if it can be made."""
    try:
        return stack.enter_context(small_disk(folder, mebibytes=DISK))
    except pytest.skip.Exception as reason:
        print(reason)
        return NoDisk(folder)


class Load:
    """What is enqueued in a round, and what must have come of it."""

    def __init__(self, rng):
        self.rng = rng
        self.committed, self.rolled_back = set(), set()
        self.keys, self.atomic = set(), set()

    def enqueue(self, number):
        """Write so many jobs in one transaction, which may be rolled back."""
        ids = [uuid4() for _ in range(number)]
        rolled_back = self.rng.random() < 0.05
        with transaction.atomic():
            for id in ids:
                self.enqueue_one(id)
            transaction.set_rollback(rolled_back)
        (self.rolled_back if rolled_back else self.committed).update(ids)

    def enqueue_one(self, id):
        key = str(id)
        kind = self.rng.choices(
            ["note", "work", "awork", "atomic", "later", "fail", "spin", "poison"],
            [50, 25, 10, 8, 4, 2, 0.5, 0.2],
        )[0]
        task, arguments = {
            "note": (tasks.note, []),
            "work": (tasks.work, [0.05]),
            "awork": (tasks.awork, [0.05]),
            "atomic": (tasks.write_atomically_again, []),
            "later": (tasks.note.using(run_after=timedelta(seconds=2)), []),
            "fail": (tasks.fail, []),
            "spin": (tasks.spin, []),
            "poison": (tasks.kill_itself, []),
        }[kind]
        self.keys.add(key)
        if kind == "atomic":
            self.atomic.add(key)
        enqueue(task.using(job_id=id), key, *arguments)

    def wrong_effects(self):
        """Return a sentence for each atomic job without exactly its one effect."""
        done = FinishedJob.objects.filter(state="SUCCESSFUL", pk__in=self.atomic)
        expected = sorted(str(id) for id in done.values_list("pk", flat=True))
        found = sorted(Group.objects.values_list("name", flat=True))
        return [] if found == expected else [f"I4: effects {found}, not {expected}"]

    def forget(self):
        Group.objects.all().delete()
        FinishedJob.objects.all().delete()
