"""Compare dbqueue as it is in the working tree with a revision of it.

Both sides run in the same environment, by the same code outside of dbqueue: that of the
working tree, which knows no more of it than its public names, settings and commands,
and its tables. A round measures both, one right after the other, each on a fresh
database of its own migrations. They take turns at being first: what the machine does
more and more, or less and less, hits both alike.
"""

import os
import platform
import sqlite3
import sys
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import django

from tests.benchmarks import trees
from tests.benchmarks.bench import DISK
from tests.benchmarks.pairs import LEAST, Measure, table
from tests.benchmarks.peers import DBQUEUE_ALONE
from tests.benchmarks.runs import Failed

BAR = 0.95


def compare(bench, revision, bar, parts):
    """Print the table of these PARTS, or of all.

    Return the exit code: 1 if a bar is missed, 2 for a failure.
    """
    began, load = time.monotonic(), os.getloadavg()[0]
    titles = titled(revision)
    try:
        with TemporaryDirectory(prefix="dbqueue-trees-", dir=DISK) as folder:
            peers = sides(revision, Path(folder))
            measures = measured(bench, peers, parts or PARTS)
    except Failed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 2
    lines, reached = table(measures, bar)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{titles}\n\n{machine(bench)} {minutes:.1f} minutes; load before: {load:.1f}."
    )
    print(f"\n{lines}")
    if bench.rounds < LEAST:
        print(f"\nThere is no verdict: that takes {LEAST} rounds.")
    return 0 if reached else 1


def try_out(bench):
    """Measure dbqueue as it is, once: whether the benchmark works, and no more."""
    for database, way in ways(bench, PARTS):
        print(database, *(f"{what} {n:.4g}" for what, n in way(DBQUEUE_ALONE).items()))


def titled(revision):
    """Say what is compared; exit if there is no such revision."""
    new = trees.described("HEAD")
    if trees.git("status", "--porcelain", "--", ".", ":!tests"):
        new += " (with uncommitted changes)"
    return f"Old: {trees.described(revision)}\\\nNew: {new}"


def machine(bench):
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; "
        f"Django {django.__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, PostgreSQL {bench.postgres.version}. "
        f"Rounds: {bench.rounds}. Ratios above 1: the new one is better."
    )


def sides(revision, folder):
    """Return dbqueue as a peer, from the one tree and from the other."""
    trees.check_out(revision, folder / "old")
    trees.copy(folder / "new", ".", ":!tests")
    trees.copy(folder / "driver", "tests")
    return {
        name: replace(DBQUEUE_ALONE, trees=(folder / name, folder / "driver"))
        for name in ("old", "new")
    }


def measured(bench, peers, parts):
    """Measure these parts of both sides in turn; return what was found, in pairs."""
    figures = defaultdict(lambda: {who: [] for who in peers})
    began = time.monotonic()
    for done in range(bench.rounds):
        tell(done, bench.rounds, time.monotonic() - began)
        turns = list(peers) if done % 2 == 0 else list(peers)[::-1]
        for database, way in ways(bench, parts):
            for who in turns:
                for what, figure in way(peers[who]).items():
                    figures[f"{database}: {what}"][who].append(figure)
                print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [
        Measure(name, **both, more_is_better=name.endswith("/s"))
        for name, both in figures.items()
        if all(both["old"] + both["new"])  # SQLite has no server that could take CPU
    ]


def ways(bench, parts):
    """Yield what is measured, as functions of a peer, each sized for some seconds."""
    for database, store, *sizes in (
        ("PostgreSQL", bench.postgres, 40_000, (1_500, 10_000), 60),
        ("SQLite", bench.sqlite, 30_000, (4_000, 10_000), 100),
    ):
        for (name, part), size in zip(PARTS.items(), sizes, strict=True):
            if name in parts:
                yield database, partial(part, bench, store, size)


def drain(bench, store, jobs, peer):
    found = bench.drain(store, peer, jobs=jobs)
    return {f"drain, {what}": figure for what, figure in found.items()}


def write(bench, store, counts, peer):
    single, many = counts
    with bench.run(store, peer) as run:
        return run.side("writes", bench.some(single, 20), bench.some(many, 20))


def pick_up(bench, store, count, peer):
    found = bench.latency(store, peer, step="spaced", count=count)
    return {"pickup, p50 ms": found["p50 ms"]}


PARTS = {"drain": drain, "enqueue": write, "latency": pick_up}


def tell(done, rounds, seconds):
    """Show how far it is, and how long it will take."""
    left = (
        f", about {seconds / done * (rounds - done) / 60:.0f} min left" if done else ""
    )
    print(f"\nround {done + 1} of {rounds}{left} ", end="", file=sys.stderr, flush=True)
