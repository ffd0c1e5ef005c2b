"""Rounds of load and random faults, and the invariants after each; see tests/soak."""

import re
import sys
import time
from contextlib import suppress
from datetime import timedelta
from threading import Event
from uuid import uuid4

from django.contrib.auth.models import Group
from django.db import OperationalError, transaction

from dbqueue import enqueue
from dbqueue.models import FinishedJob, Job
from tests.faults.mayhem import Mayhem, resident, sizes
from tests.faults.meddler import Meddler
from tests.support import worker_tasks as tasks
from tests.support.invariants import broken
from tests.support.processes import (
    MANAGE,
    Effects,
    WorkerProcess,
    environment,
    wait_until,
)

ROUND = 40.0  # seconds of load and faults between two checks
PAUSE = 1.5  # seconds between two faults, on average
PATIENCE = 90.0  # seconds until what has not ended is taken for lost
TICK = 0.1  # seconds between two batches of jobs
BATCH = 10  # jobs
WORKERS = 2
MEBIBYTE = 2**20


class Soak:
    """Workers on the database of the URL, under load and faults."""

    def __init__(self, rng, folder, url):
        self.rng = rng
        self.folder = folder
        self.effects = Effects(folder / "effects")
        self.url = url
        self.meddler = Meddler(url) if url.startswith("postgres") else None
        self.mayhem = Mayhem(rng, self.meddler)
        self.started = self.rounds = 0
        self.workers = [self.start() for _ in range(WORKERS)]
        self.dead = []  # whose children may still be finishing
        self.forgotten = set()  # keys of rounds that were checked

    def start(self):
        self.started += 1
        url = self.meddler.url if self.meddler else self.url
        return WorkerProcess(
            [sys.executable, MANAGE, "runworker", "--processes", 2],
            environment(url, self.effects),
            self.folder / f"worker-{self.started}.log",
        )

    def close(self):
        self.mayhem.undo()
        for worker in (*self.workers, *self.dead):
            worker.kill_all()
        if self.meddler:
            self.meddler.close()

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
            pause.wait(TICK)  # the pace of the load, not the wait for an outcome
        self.mayhem.undo()
        return self.recover(load)

    def replace_the_dead(self):
        for place, worker in enumerate(self.workers):
            if worker.process.poll() is not None:
                self.dead.append(worker)
                self.workers[place] = self.start()
        self.dead = [worker for worker in self.dead if worker.family()]

    def recover(self, load):
        began = time.monotonic()

        def drained():
            self.replace_the_dead()
            late = time.monotonic() - began > PATIENCE
            return late or not Job.objects.exists()

        wait_until(drained, "no job is left", 2 * PATIENCE)
        sentences = broken(
            committed=load.committed,
            rolled_back=load.rolled_back,
            effects=self.effects,
            excused=self.forgotten | load.atomic,
            at_rest=True,
        )
        sentences += [f"Not ended: {job.pk}" for job in Job.objects.all()[:10]]
        sentences += load.wrong_effects()
        sentences += self.evidence(sentences)
        self.tell(load, time.monotonic() - began)
        self.forgotten |= load.keys
        load.forget()
        return sentences

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
            for log in sorted(self.folder.glob("*.log")):
                lines = log.read_text().splitlines()
                yield from (f"  {log.stem}: {line}" for line in lines if key in line)

    def tell(self, load, seconds):
        """Note what this round was like, for who watches."""
        history = FinishedJob.objects
        self.rounds += 1
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
            f"faults {self.mayhem.done}",
        ]
        self.told = "; ".join(facts)


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
