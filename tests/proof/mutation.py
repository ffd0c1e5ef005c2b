"""python -m tests.proof.mutation [NAME...]: have each mutant killed by its test.

Each is made in a copy of the tree, and its one test is run there. `--share DATE` tries
the few that are due on that day, `--only DATABASE` on one of the two. Ends with 1 if a
test did not notice, or could not be run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit
from xml.etree import ElementTree

from tests.proof import parts
from tests.proof.mutants import BOTH, MUTANTS, POSTGRESQL
from tests.support.databases import postgres_url

ROOT = Path(__file__).resolve().parent.parent.parent
A_DAY = 2  # mutants of a share
LONG = 300.0  # seconds that one test may take
KILLED, SURVIVED, SKIPPED, BROKEN = "killed", "SURVIVED", "not tried", "BROKEN"


def main(arguments):
    given = parsed(arguments)
    chosen = [m for m in MUTANTS if m.name in given.names or not given.names]
    unknown = set(given.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        sys.exit(f"There is no mutant {', '.join(map(repr, sorted(unknown)))}.")
    if given.share:
        chosen = share_of(date.fromisoformat(given.share))
    trials = [
        (mutant, database)
        for mutant in chosen
        for database in mutant.databases
        if given.only in (None, database)
    ]
    with ExitStack() as stack:
        url = ""
        if any(database == POSTGRESQL for _, database in trials):
            url = stack.enter_context(postgres_url())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dbqueue-")))
        verdicts = tried_all(trials, url, folder, given.processes)
    killed = verdicts.count(KILLED)
    print(f"{killed} of {len(trials)} mutants were killed.")
    return int(not all(verdict in (KILLED, SKIPPED) for verdict in verdicts))


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="tests/mutants", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--share", metavar="DATE")
    parser.add_argument("--only", choices=BOTH)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(arguments)


def share_of(day):
    """Return the mutants of a day: all of them in turn, a few each day."""
    first = day.toordinal() * A_DAY
    return [MUTANTS[(first + i) % len(MUTANTS)] for i in range(A_DAY)]


def tried_all(trials, url, folder, processes):
    """Try several at once, each in a copy of its own; return the verdicts."""
    copies = SimpleQueue()
    for number in range(processes):
        copies.put(Copy(folder / str(number), url))

    def tried(trial):
        mutant, database = trial
        copy, began = copies.get(), time.monotonic()
        try:
            verdict, text = copy.verdict(mutant, database)
        finally:
            copies.put(copy)
        seconds = time.monotonic() - began
        print(
            f"{verdict:<9} {database:<10} {seconds:4.0f} s  {mutant.name}", flush=True
        )
        if verdict in (SURVIVED, BROKEN):
            print(f"    by tests/{mutant.test}\n{text}", flush=True)
        return verdict

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(tried, trials))


class Copy:
    """A copy of the tree, in which one mutant lives at a time."""

    def __init__(self, folder, url):
        self.folder = folder
        self._url = url
        listed = subprocess.check_output(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
        )
        for name in filter(None, listed.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def verdict(self, mutant, database):
        """Return how the test answers to the mutant, and what it says."""
        before = {}
        try:
            for change in mutant.changes:
                path = self.folder / "dbqueue" / change.file
                text = path.read_text()
                before.setdefault(path, text)
                if text.count(change.old) != 1:
                    found = text.count(change.old)
                    return BROKEN, f"{change.file} has {change.old!r} {found} times."
                path.write_text(text.replace(change.old, change.new))
            return self._run(mutant, database)
        finally:
            for path, text in before.items():
                path.write_text(text)

    def _run(self, mutant, database):
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-x", f"tests/{mutant.test}"]
        command += ["-p", "no:cacheprovider", f"--junit-xml={report}"]
        plain = {k: v for k, v in os.environ.items() if not k.startswith("DBQUEUE")}
        environment = plain | {
            "DATABASE_URL": self._own_url() if database == POSTGRESQL else "",
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        environment |= parts.HALF if mutant.on_demand else {}
        environment["DBQUEUE_TEST_PATIENCE"] = str(mutant.patience)
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONG,
            check=False,
        )
        return judged(report), done.stdout[-3000:]

    def _own_url(self):
        # Each copy has a database of its own on the one server.
        parts = urlsplit(self._url)
        return urlunsplit(parts._replace(path=f"/mutant_{self.folder.name}"))


def judged(report):
    """Return the verdict of pytest's report: only a test can kill, no broken set-up."""
    if not report.exists():
        return BROKEN
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    for case in cases:
        for bad in (*case.iter("failure"), *case.iter("error")):
            told = bad.get("message", "")
            if bad.tag == "failure" or "teardown" in told:
                return KILLED
            return BROKEN
    ran = [case for case in cases if case.find("skipped") is None]
    return SURVIVED if ran else SKIPPED if cases else BROKEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
