"""python -m tests.faults.report: write down what the thorough run has measured.

The table goes into docs/explanation/faults.md, between two comments, with what it was
measured on. The reports are those of tests/thorough, in JUnit's format and named for
their databases; other ones can be given as arguments. What none of them tells of stays
as it was measured before.
"""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.faults.catalogue import FAULTS, covering
from tests.proof import parts

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / ".thorough"
PAGE = ROOT / "docs" / "explanation" / "faults.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
NOT_YET = "Not measured yet."
HEADER = """| What happens if … | What dbqueue does | How it was tested | Measured |
|---|---|---|---|
"""


def main(arguments):
    reports = [Path(name) for name in arguments] or sorted(RESULTS.glob("*-*.xml"))
    if not reports:
        sys.exit("There are no reports. Run tests/thorough first.")
    results = [result for report in reports for result in read(report)]
    page = PAGE.read_text()
    write(circumstances(page) + table(results, told_before(page)))
    return 0


def circumstances(page):
    """Return on what, when and beside what else it was measured, part by part.

    A part of which there are no facts now keeps the line that the page has of it.
    """
    facts = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    if not facts:
        return page.partition(BEGIN)[2].partition(HEADER)[0]
    lines = parts_before(page) | {on(fact): circumstance(fact) for fact in facts}
    return (
        f"Last measured {span('at', facts)} on {span('cores', facts)} cores, with "
        f"{versions(facts)}.\n\n"
        "| Part | On | Minutes | Load at its begin and end | At commit | Passed |\n"
        f"|---|---|---|---|---|---|\n{''.join(map(lines.get, in_order(lines)))}\n"
    )


def on(fact):
    """Return the part, and what it ran on."""
    return fact["part"], fact["database"] or "both"


def parts_before(page):
    """Return the lines that the page has of parts."""
    lines = (line for line in page.splitlines() if line.count(" | ") == 5)
    cells = ((line.strip("| ").split(" | "), line) for line in lines)
    return {(part, where): f"{line}\n" for (part, where, *_), line in cells}


def in_order(lines):
    """Return the keys of the lines as the parts are run; the page's head has none."""
    names = [part.name for part in parts.PARTS]
    known = (key for key in lines if key[0] in names)
    return sorted(known, key=lambda key: (names.index(key[0]), key[1]))


def versions(facts):
    """Return what it was measured with; a part that ran alone may have had others."""
    databases = {fact["database"]: fact["version"] for fact in facts}
    named = {"Python": span("python", facts), "Django": span("django", facts)}
    named |= {name: databases[name] for name in sorted(filter(None, databases))}
    return ", ".join(f"{name} {version}" for name, version in named.items())


def span(key, facts):
    values = sorted({str(fact[key]) for fact in facts})
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def circumstance(fact):
    load = " to ".join(map(str, fact["load"]))
    passed = "yes" if fact["passed"] else "**no**"
    part, where = on(fact)
    return (
        f"| {part} | {where} | {fact['minutes']:g} "
        f"| {load} | {fact['commit']} | {passed} |\n"
    )


def read(report):
    """Return (database, test, outcome, figures) of each test in a report."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        *module, last = case.get("classname").removeprefix("tests.").split(".")
        # Of a test in a class, that comes last.
        module = "/".join(module if last[0].isupper() else [*module, last])
        bad = [child.tag for child in case if child.tag != "properties"]
        figures = [
            tuple(prop.get("value").split("|"))
            for prop in case.iter("property")
            if prop.get("name") == "measured"
        ]
        outcome = next((tag for tag in bad if not tag.startswith("system-")), "passed")
        database = report.stem.partition("-")[0]
        yield database, f"{module}.py::{case.get('name')}", outcome, figures


def told_before(page):
    """Return what the page says of each fault that was measured."""
    rows = (line.strip("| ").split(" | ") for line in page.splitlines())
    return {cells[0]: cells[3] for cells in rows if len(cells) == 4}


def table(results, before):
    rows = []
    for fault in FAULTS:
        told = measured(fault, results) or before.get(fault.what, NOT_YET)
        rows.append(f"| {fault.what} | {fault.then} | {fault.how} | {told} |\n")
    return HEADER + "".join(rows)


def measured(fault, results):
    """Return what the fault's tests told, the worst of each figure, by database.

    "" if none of them ran.
    """
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
    return " ".join(sentences)


def summary(database, outcomes, figures):
    ran = [outcome for outcome in outcomes if outcome != "skipped"]
    if not ran:
        return []
    failed = len(ran) - ran.count("passed")
    verdict = f"{failed} of {len(ran)} tests FAILED" if failed else f"{len(ran)} passed"
    facts = [
        f"{what} {f'{shown(figure)} {unit}'.strip()}{promise(limit, *busy)}"
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
