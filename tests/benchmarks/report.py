"""Figures with their spread, bars, and both as Markdown."""

from math import isnan
from statistics import median


class Spread(tuple):
    """The figures of all rounds, in order."""

    def __truediv__(self, other):
        return Spread(a / b for a, b in zip(self, other, strict=False) if b)

    def __str__(self):
        if not self:
            return "-"
        if len(self) == 1:
            return show(self[0])
        return f"{show(median(self))} ({show(min(self))}-{show(max(self))})"


NOTHING = Spread()


class Report:
    def __init__(self):
        self.tables, self.bars, self.failures = [], [], {}

    def table(self, title, found):
        """Add `found`, Spreads by who and by what; ratios are to the first of all."""
        first = next(iter(found.values()))
        main = next(iter(first))
        rows = [["", *first, "ratio"]]
        for who, figures in found.items():
            cells = [figures.get(what, NOTHING) for what in first]
            rows.append([who, *cells, figures[main] / first[main]])
        self.tables.append((title, rows))

    def bar(self, what, figure, *, least=None, most=None, aim=None, unit=""):
        """Add a figure that has to be at least, or at most, so much; and the aim."""
        sign, bound = ("≥", least) if most is None else ("≤", most)
        self.bars.append(
            [
                what,
                figure,
                *(
                    "-" if b is None else f"{sign} {b} {unit}".strip()
                    for b in (bound, aim)
                ),
                verdict(figure, sign, bound, aim),
            ]
        )

    def markdown(self):
        parts = []
        if self.bars:
            parts.append(grid([["measure", "dbqueue", "bar", "aim", ""], *self.bars]))
        parts += [f"**{title}**\n\n{grid(rows)}" for title, rows in self.tables]
        parts += [f"{who} was left out: {why}" for who, why in self.failures.items()]
        return "\n\n".join(parts)


def verdict(figure, sign, bound, aim):
    def holds(limit):
        middle = median(figure)
        return middle >= limit if sign == "≥" else middle <= limit

    if not figure:
        return "not measured"
    if bound is not None and not holds(bound):
        return "**missed**"
    if aim is None:
        return "-" if bound is None else "reached"
    return "aim reached" if holds(aim) else "reached" if bound else "below the aim"


def grid(rows):
    lines = [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def show(number):
    if isnan(number):
        return "-"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"
