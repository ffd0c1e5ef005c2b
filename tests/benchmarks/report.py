"""Figures with their spread, bars, and both as Markdown."""

from math import isnan
from statistics import median


class Spread(tuple):
    """The figures of all rounds, in order."""

    def __truediv__(self, other):
        return Spread(a / b for a, b in zip(self, other, strict=False) if b)

    def __str__(self):
        if len(self) < 2:
            return show(*self)
        return f"{show(median(self))} ({show(min(self))}-{show(max(self))})"


class Found(dict):
    """Spreads by who and what; nothing for those who are not there."""

    def of(self, who, what):
        return self.get(who, {}).get(what, Spread())

    def times(self, other, one="dbqueue"):
        return self.of(one, "jobs/s") / self.of(other, "jobs/s")


class Report:
    def __init__(self):
        self.tables, self.bars, self.failures = [], [], {}

    def table(self, title, found):
        """Add what was found; ratios are to the first of all, by the first column."""
        who = next(iter(found))
        columns = list(found[who])
        rows = [["", *columns, "ratio"]]
        for other in found:
            ratio = found.of(other, columns[0]) / found.of(who, columns[0])
            rows.append([other, *(found.of(other, c) for c in columns), ratio])
        self.tables.append((title, rows))

    def bar(self, what, figure, sign="≥", bound=None, *, aim=None, unit=""):
        """Add a figure, what it has to reach, and what it should."""
        limits = [f"{sign} {at} {unit}".strip() if at else "-" for at in (bound, aim)]
        self.bars.append([what, figure, *limits, verdict(figure, sign, bound, aim)])

    def markdown(self):
        parts = [grid([["", "dbqueue", "bar", "aim", ""], *self.bars])]
        parts += [f"**{title}**\n\n{grid(rows)}" for title, rows in self.tables]
        parts += [f"{who} was left out: {why}" for who, why in self.failures.items()]
        return "\n\n".join(parts)


def verdict(figure, sign, bound, aim):
    def holds(limit):
        if not limit:
            return None
        return median(figure) >= limit if sign == "≥" else median(figure) <= limit

    if not figure:
        return "not measured"
    if holds(bound) is False:
        return "**missed**"
    if holds(aim):
        return "aim reached"
    return "reached" if bound else "below the aim" if aim else "-"


def grid(rows):
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def show(number=float("nan")):
    if isnan(number):
        return "-"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
