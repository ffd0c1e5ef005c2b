"""A page of results: what was measured now, beside what was measured there before."""

import re

MARKS = "<!-- measured: begin -->\n", "<!-- measured: end -->"
SERVER = re.compile(r", PostgreSQL [\d.]*\d")


class OtherMachine(Exception):
    """The page has results of another machine, or of other versions."""


def fill(page, text, *, whole):
    """Put the results between the marks of the page.

    Those of some measures, unless they are the `whole` of them, take the place of the
    same ones; what else there is stays. Raises OtherMachine where they cannot stand
    side by side.
    """
    head, rest = page.read_text().split(MARKS[0])
    before, tail = rest.split(MARKS[1])
    if before.strip() and not whole:
        text = beside(before, text)
    page.write_text(f"{head}{MARKS[0]}{text}{MARKS[1]}{tail}")


def beside(before, now):
    """Return the results of both; the later ones replace those of the same name."""
    old, new = parted(before), parted(now)
    # Measures of SQLite alone do not tell of a server.
    if SERVER.sub("", old[0]) != SERVER.sub("", new[0]):
        raise OtherMachine(f"{old[0]}\n{new[0]}")
    machine = max(old[0], new[0], key=len)
    bars = {row.split("|")[1]: row for row in (*old[1][2:], *new[1][2:])}
    tables = old[2] | new[2]
    grid = "\n".join([*new[1][:2], *bars.values()])
    return "\n\n".join([machine, grid, *tables.values()]) + "\n"


def parted(text):
    """Return the line of the machine, the lines of the bars, and tables by title."""
    machine, bars, *others = text.strip().split("\n\n")
    tables = {}
    while others:
        title = others.pop(0)
        tables[title] = f"{title}\n\n{others.pop(0)}" if title[:2] == "**" else title
    return machine, bars.splitlines(), tables
