"""python -m tests.benchmarks [MEASURE…]; see tests/benchmarks/run."""

import argparse
import os
import platform
import signal
import sqlite3
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.against import BAR, PARTS, compare, try_out
from tests.benchmarks.bench import Bench
from tests.benchmarks.measures import MEASURES
from tests.benchmarks.page import OtherMachine, fill
from tests.benchmarks.pairs import LEAST

PACKAGES = (
    *("Django", "psycopg", "django-tasks-db", "django-q2", "procrastinate"),
    *("pgqueuer", "huey", "celery", "dramatiq"),
)


def main():
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    with ExitStack() as stack:
        if chosen.smoke:
            sys.exit(try_out(Bench(1, 0.005, stack)))
        if chosen.against:
            rounds, scale = (2, 0.05) if chosen.quick else (chosen.rounds, 1.0)
            bench = Bench(rounds, scale, stack)
            sys.exit(compare(bench, chosen.against, chosen.bar, chosen.measures))
        bench = Bench(
            rounds=1 if chosen.quick else int(os.environ.get("ROUNDS", "3")),
            scale=0.1 if chosen.quick else 1.0,
            stack=stack,
        )
        for name in chosen.measures or MEASURES:
            began = time.monotonic()
            print(f"{name} ", end="", file=sys.stderr, flush=True)
            MEASURES[name](bench)
            print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    text = f"{machine(bench)}\n\n{bench.report.markdown()}\n"
    if chosen.write is None:
        print(text)
        return
    try:
        fill(chosen.write, text, whole=not chosen.measures)
    except OtherMachine as error:
        print(text)
        sys.exit(
            f"{chosen.write} has results of another machine. Measure all:\n{error}"
        )


def arguments():
    listed = [f"  {name:15} {way.__doc__}" for name, way in MEASURES.items()]
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/run",
        epilog="\n".join(["measures; without any, all:", *listed]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE")
    parser.add_argument("--quick", action="store_true", help="one round of few jobs")
    smoke = "only try out, with dbqueue alone, that the benchmark works"
    parser.add_argument("--smoke", action="store_true", help=smoke)
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PAGE",
        help="a page to fill between its marks; what no MEASURE names stays there",
    )
    against = parser.add_argument_group("of dbqueue alone, against another revision")
    parts = f"measures: {', '.join(PARTS)}; --quick: in two rounds"
    against.add_argument("--against", metavar="REV", help=parts)
    against.add_argument(
        "--rounds", type=int, default=LEAST, help="default: %(default)s"
    )
    against.add_argument(
        "--bar",
        type=float,
        default=BAR,
        help="what the interval of each ratio has to reach; default: %(default)s",
    )
    chosen = parser.parse_args()
    if chosen.against and chosen.write:
        parser.error("--against writes no page")
    if chosen.rounds < 1:
        parser.error("--rounds is a number from 1")
    known = PARTS if chosen.against else MEASURES
    for name in chosen.measures:
        if name not in known:
            parser.error(f"{name!r} is none of {', '.join(known)}")
    return chosen


def machine(bench):
    software = {name: version(name) for name in PACKAGES}
    software |= {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    if "postgres" in vars(bench):
        software["PostgreSQL"] = bench.postgres.version
    listed = ", ".join(f"{name} {version}" for name, version in software.items())
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; {listed}. "
        f"Rounds: {bench.rounds}. Medians, with their range."
    )


if __name__ == "__main__":
    main()
