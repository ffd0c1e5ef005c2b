"""What every measure works with: the databases, the rounds, the report."""

import shutil
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.benchmarks.machine import Postgres, RabbitMQ, Redis, Sqlite
from tests.benchmarks.peers import PYTHON
from tests.benchmarks.report import Found, Report, Spread
from tests.benchmarks.runs import Failed, Run, percentiles
from tests.benchmarks.tabs import looking
from tests.support.rabbitmq import SERVER

# /tmp may be memory; this should not be.
DISK, MEMORY = "/var/tmp", "/dev/shm"


@dataclass
class Bench:
    rounds: int
    scale: float  # of the number of jobs
    stack: ExitStack
    report: Report = field(default_factory=Report)

    def started(self, kind, parent):
        store = kind(parent)
        self.stack.callback(store.stop)
        return store

    @cached_property
    def postgres(self):
        return self.started(Postgres, DISK)

    @cached_property
    def in_memory(self):
        """Postgres without waits for a disk, where the system has such a place."""
        return self.started(Postgres, MEMORY) if Path(MEMORY).is_dir() else None

    @cached_property
    def sqlite(self):
        return self.started(Sqlite, DISK)

    @cached_property
    def redis(self):
        there = shutil.which("redis-server")
        return self.started(Redis, DISK) if there else None

    @cached_property
    def rabbitmq(self):
        return self.started(RabbitMQ, DISK) if SERVER.exists() else None

    def some(self, count, least=1):
        return max(least, int(count * self.scale))

    @contextmanager
    def run(self, store, peer, jobs=1, prepare=None):
        """Give a run on a fresh database, as `prepare(run)` leaves one, made once."""

        def fill(url):
            run = Run(store, peer, url, 1)
            if peer.install:
                run.call(PYTHON + peer.install.split())
            if prepare:
                prepare(run)

        parts = [peer.name, *(tree.name for tree in peer.trees)]
        name = "-".join(parts + ([prepare.__name__] if prepare else []))
        store.template(name, fill)
        with store.fresh(name) as url:
            yield Run(store, peer, url, jobs)

    def drain(
        self, store, peer, *, jobs=None, step=("backlog",), beside=None, prepare=None
    ):
        """Write a backlog of so many jobs, or for four seconds, and work it off.

        With `beside`, while something else goes on in the database.
        """
        jobs = self.some(jobs or 4 * peer.pace, least=100)
        with self.run(store, peer, jobs, prepare) as run:
            run.side(step[0], jobs, *step[1:])
            store.settle(run.url)
            with beside(run.url) if beside else nullcontext():
                found = run.drain()
            return found | run.decay() if beside else found

    def drain_watched(self, store, peer, **who):
        """Work a backlog off while tabs and viewers look at it.

        For ten seconds: a tab asks every three.
        """
        jobs = self.some(10 * peer.pace, least=100)
        with self.run(store, peer, jobs) as run:
            run.side("backlog", jobs)
            store.settle(run.url)
            with looking(run, **who) as seen:
                found = run.drain()
            return found | {"looks": len(seen)}

    def crowd_out(self, store, peer):
        """Return the ms that somebody else's writes take during a drain."""
        jobs = self.some(4 * peer.pace, least=100)
        with self.run(store, peer, jobs) as run:
            run.side("backlog", jobs)
            with store.stranger(run.url) as waits:
                run.drain()
            return percentiles([1000 * seconds for seconds in waits])

    def rate(self, store, peer, *, step, count, prepare=None):
        """Let a step of the peer's side say how many jobs a second it does."""
        count = self.some(count, least=20)
        with self.run(store, peer, count, prepare) as run:
            return {"jobs/s": run.side(step, count)}

    def latency(self, store, peer, *, step="trickle", count=200):
        count = self.some(count, least=30)
        with self.run(store, peer, count + 1) as run:
            return run.latency(count, step)

    def lateness(self, store, peer):
        with self.run(store, peer) as run:
            return run.lateness(200, self.some(20, least=5))

    def fairness(self, store, peer, *, big, tenants=9, each=100):
        big, each = self.some(big, least=5_000), self.some(each, least=10)
        with self.run(store, peer, big + tenants * each) as run:
            return run.fairness(big, tenants, each)

    def idle(self, store, peer):
        with self.run(store, peer, 100) as run:
            return run.idle(self.some(12, least=5))

    def ready(self, store, peer):
        with self.run(store, peer) as run:
            return run.ready()

    def interleave(self, title, contest, rounds=None):
        """Run each once a round, in turn: what else the machine does hits all alike.

        Who fails is left out.
        """
        figures = {who: [] for who in contest}
        for _ in range(rounds or self.rounds):
            for who in list(figures):
                try:
                    figures[who].append(contest[who]())
                except Failed as failure:
                    del figures[who]
                    why = str(failure).strip().splitlines()[-1]
                    self.report.failures[f"{title}: {who}"] = why
                    print(f"\n{title}, {who}: {failure}", file=sys.stderr)
                print(".", end="", file=sys.stderr, flush=True)
        found = Found()
        for who, each in figures.items():
            found[who] = {what: Spread(f[what] for f in each) for what in each[0]}
        if found:
            self.report.table(title, found)
        return found
