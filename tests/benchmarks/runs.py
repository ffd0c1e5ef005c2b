"""One peer on one fresh database: start its workers, give it jobs, watch the clock."""

import json
import os
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager, suppress
from statistics import quantiles

from tests.benchmarks import trees
from tests.benchmarks.jobs import EACH, Stamps
from tests.benchmarks.machine import Tree
from tests.benchmarks.peers import PYTHON

LIMIT = 90  # seconds for a drain; whoever needs longer has its rate until then


class Failed(Exception):
    """A peer did not do what it was asked."""


class Run:
    """A peer and its fresh database; `jobs` are as many as are stamped."""

    def __init__(self, store, peer, url, jobs):
        self.store, self.peer, self.url, self.jobs = store, peer, url, jobs
        stamps = store.folder / "stamps"
        stamps.write_bytes(bytes(jobs * EACH))
        self.stamps = Stamps(stamps)
        self.env = os.environ | {
            "PEER": peer.name,
            "DATABASE_URL": url,
            "STAMPS": str(stamps),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            **trees.environment(peer.trees),
        }

    def call(self, command):
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr[-2000:] or done.stdout}")
        return done.stdout

    def side(self, step, *args):
        command = [*PYTHON, "tests.benchmarks.side", step, *map(str, args)]
        return json.loads(self.call(command))

    @contextmanager
    def working(self):
        """Run the peer's workers for the block."""
        log = self.store.folder / "workers.log"
        with log.open("w") as output:
            workers = [
                subprocess.Popen(
                    command,
                    env=self.env,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                for command in self.peer.commands()
            ]
        try:
            yield Tree(*(worker.pid for worker in workers))
        except TimeoutError as error:
            raise Failed(f"{error}\n{log.read_text()[-2000:]}") from error
        finally:
            for worker in workers:
                stop(worker)

    def wait(self, until, seconds=30, pause=0.002):
        """Look until it holds; return the moment of that look."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            if until():
                return now
            time.sleep(pause)
        raise TimeoutError(f"{self.stamps.missing()} of {self.jobs} jobs did not start")

    def first_start(self):
        self.wait(self.begun)
        return min(start for start in self.stamps.starts if start)

    def begun(self):
        return self.stamps.missing() < self.jobs

    def all_started(self):
        return not self.stamps.missing()

    def drain(self):
        """Work off the backlog; return jobs a second, and µs of CPU a job.

        From the first start until the peer's own store says that all have finished.
        """
        waiting, finished = self.peer.waiting, self.peer.finished
        with self.store.asking(self.url) as ask, self.working() as workers:
            already = ask(finished) if finished else 0
            began = self.first_start()
            spent = workers.cpu(), self.store.cpu()

            def done():
                return ask(finished) - already if finished else self.jobs

            def ended():
                return not (waiting and ask(waiting)) and done() >= self.jobs

            with suppress(TimeoutError):
                self.wait(self.all_started, LIMIT, pause=0.01)
                self.wait(ended)
            seconds, jobs = time.monotonic() - began, done()
            spent = workers.cpu() - spent[0], self.store.cpu() - spent[1]
        if self.stamps.repeated() or not jobs:
            raise Failed(f"{jobs} ended, {self.stamps.repeated()} ran more than once")
        return {
            "jobs/s": jobs / seconds,
            "worker µs/job": spent[0] / jobs * 1e6,
            "database µs/job": spent[1] / jobs * 1e6,
        }

    def decay(self):
        """Return the rates of starts in the first and in the last tenth."""
        starts = sorted(start for start in self.stamps.starts if start)
        tenth = len(starts) // 10
        first = tenth / (starts[tenth] - starts[0])
        last = tenth / (starts[-1] - starts[-1 - tenth])
        return {
            "first tenth/s": first,
            "last tenth/s": last,
            "last/first": last / first,
        }

    def latency(self, count, step="trickle"):
        """Return the ms from the enqueuer's return to the job's start."""
        with self.working():
            returned = self.side(step, count)
            self.wait(self.all_started)
        waits = [
            (start - end) * 1000
            for start, end in zip(list(self.stamps.starts)[1:], returned, strict=True)
        ]
        return percentiles(waits)

    def lateness(self, count, seconds):
        """Return by how many ms the jobs of schedules come after their ticks."""
        self.side("schedules", count)
        with self.working():
            self.wait(self.all_started)
            time.sleep(3)  # what starting stirred up has settled
            since = time.time()
            time.sleep(seconds)
            until = time.time() - 1  # those of the last second may not have ended
        found = self.side("lateness", since, until)
        if len(found[0]) < 2:
            raise Failed(f"no tick of {seconds} seconds was fired in time")
        there, begun = map(percentiles, found)
        return there | {f"begun, {what}": ms for what, ms in begun.items()}

    def fairness(self, big, tenants, each):
        """Return the ms until each small tenant's first job, and its last, began.

        They come while workers are busy with a tenant of so many jobs.
        """
        self.side("tenant", "big", 0, big)
        self.store.settle(self.url)
        with self.working():
            self.first_start()
            returned = self.side("small_tenants", big, tenants, each)
            begins = range(big, big + tenants * each, each)
            shares = [self.stamps.starts[begin : begin + each] for begin in begins]
            self.wait(lambda: all(map(all, shares)))
            waiting = self.stamps.missing()
        if not waiting:
            raise Failed("the big tenant had nothing waiting any more")
        pairs = list(zip(shares, returned, strict=True))
        firsts = [(min(starts) - moment) * 1000 for starts, moment in pairs]
        lasts = [(max(starts) - moment) * 1000 for starts, moment in pairs]
        return {
            "first job, ms": statistics.median(firsts),
            "last job, ms": statistics.median(lasts),
            "latest first, ms": max(firsts),
            "of the big one waiting": waiting,
        }

    def idle(self, seconds):
        """Return what two processes without jobs take."""
        asked = self.store.audit(self.url)
        with self.working() as workers:
            self.side("backlog", self.jobs)
            self.wait(self.all_started)
            time.sleep(3)  # what starting stirred up has settled
            before = time.monotonic(), workers.cpu(), asked()
            time.sleep(seconds)
            after = time.monotonic(), workers.cpu(), asked()
            took, cpu, queries = (b - a for a, b in zip(before, after, strict=True))
            return {
                "CPU %": 100 * cpu / took,
                "queries/s": queries / took,
                "PSS MiB": workers.memory(),
                "processes": len(workers.processes()),
            }

    def ready(self):
        """Return the seconds from a worker's start to its first job's, and of check."""
        self.side("backlog", self.jobs)
        self.call([*PYTHON, "django", "check"])  # reads the files into memory
        began = time.monotonic()
        self.call([*PYTHON, "django", "check"])
        checked = time.monotonic()
        with self.working():
            started = self.first_start()
        check, ready = checked - began, started - checked
        return {"ready s": ready, "check s": check, "ready / check": ready / check}


def percentiles(waits):
    hundredths = quantiles(waits, n=100, method="inclusive")
    return {
        "p50 ms": hundredths[49],
        "p95 ms": hundredths[94],
        "p99 ms": hundredths[98],
        "latest ms": max(waits),
    }


def stop(worker):
    worker.terminate()
    with suppress(subprocess.TimeoutExpired):
        worker.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
