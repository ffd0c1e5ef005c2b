"""python -m tests.faults.report: run the fault suite and write down what it measured.

The tests run at full size, on SQLite and on the server of DATABASE_URL. The table goes
into docs/explanation/faults.md, between two comments. With reports in JUnit's format as
arguments, named for their databases, nothing is run, and they are read instead.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests.faults.catalogue import FAULTS, covering

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "explanation" / "faults.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
HEADER = """| What happens if … | What dbqueue does | How it was tested | Measured |
|---|---|---|---|
"""


def main(arguments):
    code = 0
    with TemporaryDirectory() as folder:
        if not arguments:
            arguments = [Path(folder, name) for name in ("SQLite", "PostgreSQL")]
            addresses = ("", os.environ["DATABASE_URL"])
            for report, address in zip(arguments, addresses, strict=True):
                code |= run_suite(report, address)
        results = [result for report in arguments for result in read(Path(report))]
    write(table(results))
    return code


def run_suite(report, database_url):
    tests = sorted(
        {
            str(ROOT / "tests" / beginning.partition("::")[0])
            for fault in FAULTS
            for beginning in fault.tests
        }
    )
    environment = os.environ | {"DATABASE_URL": database_url}
    environment["DBQUEUE_TEST_SCALE"] = os.environ.get("DBQUEUE_TEST_SCALE", "10")
    command = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={report}", *tests]
    command += ["-o", "junit_family=xunit1"]  # the other has no place for figures
    return subprocess.call(command, env=environment, cwd=ROOT)


def read(report):
    """Return (database, test, outcome, figures) of each test in a report."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        module = case.get("classname").removeprefix("tests.").replace(".", "/")
        bad = [child.tag for child in case if child.tag != "properties"]
        figures = [
            tuple(prop.get("value").split("|"))
            for prop in case.iter("property")
            if prop.get("name") == "measured"
        ]
        outcome = next((tag for tag in bad if not tag.startswith("system-")), "passed")
        yield report.stem, f"{module}.py::{case.get('name')}", outcome, figures


def table(results):
    rows = [
        f"| {fault.what} | {fault.then} | {fault.how} | {measured(fault, results)} |\n"
        for fault in FAULTS
    ]
    return HEADER + "".join(rows)


def measured(fault, results):
    """Return what the fault's tests told, the worst of each figure, by database."""
    sentences = []
    for database in dict.fromkeys(name for name, *_ in results):
        outcomes, figures = [], {}
        for name, test, outcome, told in results:
            if name == database and fault in covering(test):
                outcomes.append(outcome)
                for what, figure, unit, limit in told:
                    worst = min if unit == "jobs/s" else max
                    fact = (what, unit, limit)
                    known = figures.get(fact, float(figure))
                    figures[fact] = worst(known, float(figure))
        sentences += summary(database, outcomes, figures)
    return " ".join(sentences) or "Not tested."


def summary(database, outcomes, figures):
    ran = [outcome for outcome in outcomes if outcome != "skipped"]
    if not ran:
        return []
    failed = len(ran) - ran.count("passed")
    verdict = f"{failed} of {len(ran)} tests FAILED" if failed else f"{len(ran)} passed"
    facts = [
        f"{what} {shown(figure)} {unit}{f' (promised: {limit})' * bool(limit)}".strip()
        for (what, unit, limit), figure in figures.items()
    ]
    return [f"*{database}:* {'; '.join([verdict, *facts])}."]


def shown(figure):
    return f"{figure:.0f}" if figure >= 20 or figure == int(figure) else f"{figure:.2f}"


def write(text):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
