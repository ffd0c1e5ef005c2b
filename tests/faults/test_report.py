"""The table of faults in the documentation tells of every fault and every test."""

import json
import re
from pathlib import Path

import pytest

from tests.faults import catalogue, report

TESTS = Path(__file__).resolve().parent.parent
NAMES = [
    f"{path.relative_to(TESTS)}::{name}"
    for path in sorted(TESTS.rglob("test_*.py"))
    for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
]
NAMES.append("faults/soak.py::soak")  # a command, see tests/soak
OURS = [
    name
    for name in NAMES
    if name.startswith("faults/test_") and not name.startswith("faults/test_report")
]


@pytest.mark.parametrize("name", OURS)
def test_every_test_of_a_fault_is_in_the_catalogue(name):
    assert catalogue.covering(name)


@pytest.mark.parametrize("fault", catalogue.FAULTS, ids=lambda fault: fault.what)
def test_every_fault_has_its_tests_and_its_row(fault):
    for beginning in fault.tests:
        function = beginning.partition("[")[0]
        assert any(name.startswith(function) for name in NAMES), beginning
    assert f"| {fault.what} | {fault.then} | {fault.how} |" in report.PAGE.read_text()


def test_of_several_runs_the_worst_figure_is_told():
    fault = catalogue.FAULTS[0]
    test = fault.tests[0]
    results = [
        (
            "SQLite",
            test,
            "passed",
            [("took", "0.5", "s", "1.0", "3.0"), ("did", "9", "jobs/s", "", "1.0")],
        ),
        (
            "SQLite",
            test,
            "passed",
            [("took", "0.25", "s", "1.0", "1.0"), ("did", "7", "jobs/s", "", "1.0")],
        ),
    ]

    told = report.measured(fault, results)

    assert told == (
        "*SQLite:* 2 passed; took 0.50 s (promised: 1.0, beside other work for 3 times "
        "as long); did 7 jobs/s."
    )


def test_what_no_report_tells_of_stays_as_it_was():
    before = report.told_before(report.PAGE.read_text())
    first, *_ = catalogue.FAULTS

    rows = report.table([], before | {first.what: "*SQLite:* 2 passed."}).splitlines()

    assert rows[2].endswith("| *SQLite:* 2 passed. |")
    assert [row for row in rows[3:] if row not in report.PAGE.read_text()] == []


def test_a_part_that_did_not_run_keeps_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    fact = {
        **{"part": "hosts", "database": "SQLite", "minutes": 4.2, "load": [1.0, 2.0]},
        **{"cores": 2, "passed": False, "at": "2026-11-29", "commit": "abc"},
        **{"python": "3.13.0", "django": "6.1", "version": "3.40.1"},
    }
    (tmp_path / "SQLite-hosts.json").write_text(json.dumps(fact))
    before = "| versions | SQLite | 1.9 | 5.3 to 8.7 | c6d | yes |"
    replaced = "| hosts | SQLite | 5 | 1.0 to 1.0 | c6d | yes |"

    told = report.circumstances(f"{replaced}\n{before}\n")

    *_, first, second = told.strip().splitlines()
    assert first == before
    assert second == "| hosts | SQLite | 4.2 | 1.0 to 2.0 | abc | **no** |"
