"""python -m tests.faults.report: write down what the thorough run has measured.

The table goes into docs/explanation/faults.md, between two comments, with what it was
measured on. The reports are those of tests/thorough, in JUnit's format and named for
their databases; other ones can be given as arguments.
"""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.catalogue import FAULTS, covering

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / ".thorough"
PAGE = ROOT / "docs" / "explanation" / "faults.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
HEADER = """| What happens if … | What dbqueue does | How it was tested | Measured |
|---|---|---|---|
"""


def main(arguments):
    reports = [Path(name) for name in arguments] or sorted(RESULTS.glob("*-*.xml"))
    if not reports:
        sys.exit("There are no reports. Run tests/thorough first.")
    results = [result for report in reports for result in read(report)]
    write(circumstances() + table(results))
    return 0


def circumstances():
    """Return on what, when and beside what else it was measured, part by part."""
    facts = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    if not facts:
        return ""
    rows = "".join(map(circumstance, facts))
    one = facts[-1]
    versions = f"Python {one['python']}, Django {one['django']}"
    if "postgresql" in one:
        versions += f", PostgreSQL {one['postgresql']}"
    return (
        f"Measured on {one['at']} at {one['commit']}, on {one['cores']} cores, with "
        f"{versions}.\n\n| Part | Minutes | Load at its begin and end | Passed on |\n"
        f"|---|---|---|---|\n{rows}\n"
    )


def circumstance(fact):
    load = " to ".join(map(str, fact["load"]))
    good = ", ".join(name for name, passed in fact["passed"].items() if passed)
    return f"| {fact['part']} | {fact['minutes']:g} | {load} | {good or '-'} |\n"


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
        database = report.stem.partition("-")[0]
        yield database, f"{module}.py::{case.get('name')}", outcome, figures


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
                for what, figure, unit, limit, *busy in told:
                    worst = min if unit == "jobs/s" else max
                    fact, seen = (what, unit, limit), (float(figure), *map(float, busy))
                    figures[fact] = worst(figures.get(fact, seen), seen)
        sentences += summary(database, outcomes, figures)
    return " ".join(sentences) or "Not tested."


def summary(database, outcomes, figures):
    ran = [outcome for outcome in outcomes if outcome != "skipped"]
    if not ran:
        return []
    failed = len(ran) - ran.count("passed")
    verdict = f"{failed} of {len(ran)} tests FAILED" if failed else f"{len(ran)} passed"
    facts = [
        f"{what} {shown(figure)} {unit}{promise(limit, *busy)}".strip()
        for (what, unit, limit), (figure, *busy) in figures.items()
    ]
    return [f"*{database}:* {'; '.join([verdict, *facts])}."]


def promise(limit, busy=1.0):
    """Return what was promised, and how busy the machine was when that matters."""
    if not limit:
        return ""
    beside = f", beside other work for {busy:g} times as long" if busy >= 2.0 else ""
    return f" (promised: {limit}{beside})"


def shown(figure):
    return f"{figure:.0f}" if figure >= 20 or figure == int(figure) else f"{figure:.2f}"


def write(text):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
