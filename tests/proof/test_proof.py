"""The thorough run, its shares and its mutants are what they say."""

import re
from datetime import date, timedelta

import pytest

from tests.proof import mutation, parts
from tests.proof.mutants import MUTANTS, Change, Mutant
from tests.support.processes import ROOT

TODAY = date(2026, 11, 27)
TESTS = ROOT / "tests"
SWITCHES = r"\b(on_demand|once|thorough|scaled|FAULTS|SCALE)\b"
LEFT_OUT = [
    str(path.relative_to(TESTS))
    for path in sorted(TESTS.glob("*/test_*.py"))
    for imported in re.findall(
        r"^from tests\.support\.processes import (\([^)]*\)|.*)",
        path.read_text(),
        re.MULTILINE,
    )
    if re.search(SWITCHES, imported)
]


def test_all_parts_together_keep_to_the_budget():
    assert sum(part.minutes for part in parts.PARTS) <= parts.BUDGET


@pytest.mark.parametrize("part", [*parts.PARTS, *parts.SHARES], ids=str)
def test_each_part_and_each_share_names_files_that_there_are(part):
    files = [path for path in part.paths if path[0] != "-" and "/" in path]

    for file in files:
        assert (ROOT / "tests" / file.removeprefix("--ignore=tests/")).exists()
    assert part.paths or part.command


@pytest.mark.parametrize("file", LEFT_OUT)
def test_what_a_plain_run_leaves_out_is_in_a_part(file):
    assert any(has(part, file) for part in parts.PARTS)


def has(part, file):
    within = any(file == path or file.startswith(f"{path}/") for path in part.paths)
    return within and f"--ignore=tests/{file}" not in part.paths


def test_each_share_is_of_a_part_and_each_comes_in_turn():
    days = [TODAY + timedelta(days=i) for i in range(len(parts.SHARES))]

    due = [parts.share_of(day) for day in days]
    assert sorted(map(str, due)) == sorted(map(str, parts.SHARES))
    for share in parts.SHARES:
        assert parts.named(share.part)


def test_each_mutant_comes_in_turn():
    days = [TODAY + timedelta(days=i) for i in range(len(MUTANTS))]

    tried = {mutant.name for day in days for mutant in mutation.share_of(day)}
    assert tried == {mutant.name for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_mutant_has_its_place_in_the_code_and_a_test(mutant):
    for change in mutant.changes:
        text = (ROOT / "dbqueue" / change.file).read_text()
        assert text.count(change.old) == 1, change
    path, _, name = mutant.test.partition("::")
    *classes, function = name.partition("[")[0].split("::")
    text = (ROOT / "tests" / path).read_text()
    for each in classes:
        _, found, text = text.partition(f"\nclass {each}:\n")
        assert found
    indent = "    " * len(classes)
    assert f"\n{indent}def {function}(" in f"\n{text}"


@pytest.mark.parametrize("text", ["no such text", "import"], ids=["gone", "twice"])
def test_a_mutant_that_has_not_its_one_place_is_an_error(text, monkeypatch, capsys):
    test = "core/test_conf.py::test_a_setting_has_a_default"
    outdated = Mutant("outdated", (Change("conf.py", text, "pass"),), test)
    monkeypatch.setattr(mutation, "MUTANTS", [outdated])

    code = mutation.main(["--only", "sqlite", "outdated"])

    assert code == 1
    said = capsys.readouterr().out
    assert "BROKEN" in said
    assert f"conf.py has {text!r}" in said
