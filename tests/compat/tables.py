"""python -m tests.compat.tables: write the tables of the guides, which tests state.

A test says by `@shows` which names of another package it shows, and how far they are
supported. The table of a guide is made of that, in the order of the tests; a test of
the documentation fails while it is another.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

HOW_TO = Path(__file__).resolve().parent.parent.parent / "docs" / "how-to"
# The modules with the tests of each guide, in the order of its table.
GUIDES = {
    "from-uwsgi-spooler": [
        "tests.compat.test_spooler",
        "tests.compat.test_spooler_signals",
    ],
    "from-celery": [
        "tests.compat.test_celery",
        "tests.compat.test_celery_calls",
        "tests.compat.test_celery_schedules",
        "tests.compat.test_celery_signals",
        "tests.compat.test_celery_moving",
    ],
}
STATUSES = ("yes", "differs", "ignored", "refused")
_TABLE = re.compile(
    r"(?<=<!-- the table that tests state -->\n).*?(?=<!-- its end -->)", re.DOTALL
)


class Row(NamedTuple):
    names: tuple[str, ...]
    status: str
    how: str


_rows: dict[str, dict[str, Row]] = {}  # by the module, and the test


def shows(*names, status="yes", how="", about=""):
    """Say what a test shows: names, as code; `about` is what is said behind them.

    `status` is one of STATUSES; `how` a sentence, which "differs" and "refused" need.
    """
    assert status in STATUSES, status
    assert how or status in ("yes", "ignored"), names or about

    def note(test):
        shown = tuple(f"`{name}`" for name in names) + ((about,) if about else ())
        found = _rows.setdefault(test.__module__, {})
        found[f"{test.__qualname__} {shown}"] = Row(shown, status, how)
        return test

    return note


def rows(guide):
    """Return the rows of a guide's table."""
    for name in GUIDES[guide]:
        import_module(name)
    return [row for name in GUIDES[guide] for row in _rows.get(name, {}).values()]


def table(guide):
    """Return the table of a guide, as Markdown."""
    lines = ["| Name | | How |", "|---|---|---|"]
    for names, status, how in rows(guide):
        lines.append(
            f"| {', '.join(names)} | {status} | {how} |".replace("|  |", "| |")
        )
    return "\n" + "\n".join(lines) + "\n\n"


def path_of(guide):
    return HOW_TO / f"{guide}.md"


def written(guide):
    """Return the text of a guide with the table of now."""
    text = path_of(guide).read_text()
    assert _TABLE.search(text), f"{guide} has no comments between which a table stands"
    return _TABLE.sub(lambda found: table(guide), text)


def main():
    import django

    django.setup()
    for guide in GUIDES:
        path_of(guide).write_text(written(guide))


if __name__ == "__main__":
    # As a script it would be another module than the one that tests import.
    sys.exit(import_module("tests.compat.tables").main())
