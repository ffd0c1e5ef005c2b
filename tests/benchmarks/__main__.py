"""python -m tests.benchmarks [MEASURE…]; see tests/benchmarks/run."""

import argparse
import os
import platform
import sqlite3
import sys
from contextlib import ExitStack
from importlib.metadata import version
from inspect import signature
from pathlib import Path

from tests.benchmarks import measures
from tests.benchmarks.bench import Bench

MEASURES = {
    name.replace("_", "-"): function
    for name, function in vars(measures).items()
    if getattr(function, "__module__", None) == measures.__name__
    and signature(function).parameters.keys() == {"bench"}
}
PACKAGES = (
    *("Django", "psycopg", "django-tasks-db", "django-q2", "procrastinate"),
    *("pgqueuer", "huey", "celery", "dramatiq"),
)
MARKS = "<!-- measured: begin -->\n", "<!-- measured: end -->"


def main():
    chosen = arguments()
    with ExitStack() as stack:
        bench = Bench(
            rounds=1 if chosen.quick else int(os.environ.get("ROUNDS", "3")),
            scale=0.1 if chosen.quick else 1.0,
            stack=stack,
        )
        for name in chosen.measures or MEASURES:
            print(f"{name} ", end="", file=sys.stderr, flush=True)
            MEASURES[name](bench)
            print(file=sys.stderr)
    text = f"{machine(bench)}\n\n{bench.report.markdown()}\n"
    if chosen.write:
        fill(chosen.write, text)
    else:
        print(text)


def arguments():
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/run",
        description="Measures: "
        + "; ".join(
            f"{name}: {function.__doc__}" for name, function in MEASURES.items()
        ),
    )
    parser.add_argument(
        "measures", nargs="*", metavar="MEASURE", help="default: all", default=[]
    )
    parser.add_argument("--quick", action="store_true", help="one round of few jobs")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="not to stdout")
    chosen = parser.parse_args()
    for name in chosen.measures:
        if name not in MEASURES:
            parser.error(f"{name!r} is none of {', '.join(MEASURES)}")
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


def fill(page, text):
    """Put the text between the marks of the page, or write the page."""
    if page.exists():
        head, rest = page.read_text().split(MARKS[0])
        text = head + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1])[1]
    page.write_text(text)


if __name__ == "__main__":
    main()
