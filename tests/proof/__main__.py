"""python -m tests.proof [PART...]: the thorough run; see tests/thorough."""

import argparse
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import django

from tests.proof import parts
from tests.support.databases import WITHOUT, ask, postgres_url

ROOT = Path(__file__).resolve().parent.parent.parent
INTO = ROOT / ".thorough"
SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"


def main(arguments):
    given = parsed(arguments)
    if given.list:
        return listed()
    chosen = [parts.named(name) for name in given.parts] or parts.PARTS
    share = None
    if given.share:
        share = parts.share_of(date.fromisoformat(given.share))
        chosen = [shared(parts.named(share.part), share)]
        print(f"The share of {given.share}: {share.part} {' '.join(share.paths)}")
    elif not given.parts:
        shutil.rmtree(INTO, ignore_errors=True)
    with ExitStack() as stack:
        urls = {}
        if given.only != "postgresql":
            urls[SQLITE] = ""
        if given.only != "sqlite":
            urls[POSTGRESQL] = stack.enter_context(postgres_url())
        # A share is less than its part, and does not take its report's place.
        into = given.into / "share" if share else given.into
        runs = [Run(part, urls, into) for part in chosen]
        codes = [run.go() for run in runs]
    if share is not None:
        command = [sys.executable, "-m", "tests.proof.mutation", "--share", given.share]
        codes.append(subprocess.call(command, cwd=ROOT))
    print(*(run.told for run in runs), sep="\n")
    return int(any(codes))


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="tests/thorough")
    parser.add_argument("parts", nargs="*", help="names of parts; without, all of them")
    parser.add_argument("--list", action="store_true", help="show the parts")
    parser.add_argument(
        "--share",
        nargs="?",
        const=date.today().isoformat(),
        metavar="DATE",
        help="run what CI runs on that day, by default today",
    )
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    parser.add_argument("--into", type=Path, default=INTO, help="folder of the reports")
    given = parser.parse_args(arguments)
    for name in given.parts:
        try:
            parts.named(name)
        except LookupError:
            parser.error(f"There is no part {name!r}; --list shows them.")
    return given


def listed():
    for part in parts.PARTS:
        print(f"{part.name:<13} {part.minutes:4g} min  {part.what}")
    total = sum(part.minutes for part in parts.PARTS)
    print(f"{'in all':<13} {total:4g} min  of {parts.BUDGET:g}")
    return 0


def shared(part, share):
    return part._replace(
        paths=share.paths,
        command=share.command,
        minutes=2,
        environment=share.environment,
    )


class Run:
    """One part, on its databases at once."""

    def __init__(self, part, urls, into):
        self.part = part
        self.told = f"{part.name}: not run"
        self._urls = urls if part.databases else {"": ""}
        self._into = into
        into.mkdir(parents=True, exist_ok=True)

    def go(self):
        """Run it, and write down under what circumstances; return 0 if it passed."""
        print(f"=== {self.part.name}: {self.part.what}", flush=True)
        began, load = time.monotonic(), [os.getloadavg()[0]]
        running = {name: self._started(name) for name in self._urls}
        codes = {name: process.wait() for name, process in running.items()}
        minutes = (time.monotonic() - began) / 60
        load.append(os.getloadavg()[0])
        self._write_down(minutes, load, codes)
        for name, code in codes.items():
            print(self._log(name).read_text()[-6000 if code else -800 :], flush=True)
        verdict = "passed" if not any(codes.values()) else f"FAILED {codes}"
        self.told = (
            f"{self.part.name:<13} {verdict}, {minutes:.1f} min "
            f"(said: {self.part.minutes:g}), load {load[0]:.1f} to {load[1]:.1f}"
        )
        print(self.told, flush=True)
        return int(any(codes.values()))

    def _started(self, database):
        with self._log(database).open("w") as log:
            return subprocess.Popen(
                self._command(database),
                cwd=ROOT,
                env=os.environ
                | self.part.environment
                | {"DATABASE_URL": self._urls[database]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _command(self, database):
        report = f"--junit-xml={self._into / self._name(database)}.xml"
        if self.part.command:
            more = [report] if self.part.databases else []
            return [sys.executable, "-m", *self.part.command, *more]
        paths = [
            f"tests/{path}"
            if path[0] not in "-" and (ROOT / "tests" / path).exists()
            else path
            for path in self.part.paths
        ]
        command = [sys.executable, "-m", "pytest", "-q", *paths, report]
        if self.part.processes > 1:
            command += ["-n", str(self.part.processes), "--dist", "worksteal"]
        # The other family of reports has no place for figures.
        command += ["-o", "junit_family=xunit1", "-p", "no:cacheprovider"]
        without = WITHOUT if database == POSTGRESQL else ()
        return command + [f"--ignore={path}" for path in without]

    def _name(self, database):
        name = self.part.name.replace(" ", "-")
        return f"{database}-{name}" if database else name

    def _log(self, database):
        return self._into / f"{self._name(database)}.log"

    def _write_down(self, minutes, load, codes):
        """Write a file for each database: a part may run on one of them, and later."""
        for database, code in codes.items():
            facts = {
                "part": self.part.name,
                "database": database,
                "minutes": round(minutes, 1),
                "load": [round(value, 1) for value in load],
                "cores": os.cpu_count(),
                "passed": not code,
                "at": datetime.now(UTC).date().isoformat(),
                "commit": _said("git", "describe", "--always", "--dirty"),
                "python": platform.python_version(),
                "django": django.__version__,
                "version": self._version(database),
            }
            path = self._into / f"{self._name(database)}.json"
            path.write_text(json.dumps(facts, indent=1))

    def _version(self, database):
        if database == SQLITE:
            return sqlite3.sqlite_version
        if database == POSTGRESQL:
            return ask(self._urls[database], "SHOW server_version").split()[0]
        return ""


def _said(*command):
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
