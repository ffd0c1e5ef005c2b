"""The tables of the guides that say what of another system is supported.

Each row names the tests that show it; `python -m tests.compat.status` writes them.
"""

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATES = ("yes", "differs", "ignored", "refused", "not yet")
# Guides, and where their rows are.
GUIDES = {"docs/how-to/from-celery.md": "tests.compat.celery_status"}
_TABLE = re.compile(r"(<!-- status -->\n).*?(<!-- end of status -->)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """Names of an API, its state, how it differs, and the tests that show it."""

    names: str
    state: str
    how: str
    tests: tuple[str, ...]


def row(names, state, how, *tests):
    assert state in STATES, state
    assert tests, f"No test shows {names}"
    return Row(names, state, how, tests)


def table(rows):
    """Return the table of the rows. Raises LookupError for a test that is not there."""
    lines = ["| Name | | How |", "|---|---|---|"]
    for one in rows:
        for test in one.tests:
            if test not in known_tests():
                raise LookupError(f"{one.names}: there is no test {test!r}")
        lines.append(
            f"| {one.names} | {one.state} | {one.how} |".replace("|  |", "| |")
        )
    return "\n".join(lines) + "\n"


def written(guide):
    """Return the text of a guide with its table as the tests have it."""
    rows = import_module(GUIDES[guide]).ROWS
    text = (ROOT / guide).read_text()
    return _TABLE.sub(lambda found: f"{found[1]}{table(rows)}{found[2]}", text)


@cache
def known_tests():
    """Return the names of all tests of this folder: Class.test, or test."""
    found = set()
    for path in (ROOT / "tests" / "compat").glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{item.name}"
                    for item in node.body
                    if isinstance(item, ast.FunctionDef)
                }
    return found


if __name__ == "__main__":
    for name in sys.argv[1:] or GUIDES:
        (ROOT / name).write_text(written(name))
