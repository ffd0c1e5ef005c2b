"""Ratios of two sides measured in pairs, with their confidence interval and verdict."""

from math import comb
from statistics import median
from typing import NamedTuple

from tests.benchmarks.report import grid, show

LEAST = 20  # rounds for a verdict


class Measure(NamedTuple):
    """The figures of both sides, in the order of the rounds."""

    name: str
    old: list[float]
    new: list[float]
    more_is_better: bool

    def ratios(self):
        """Return how much better the new side was in each round: above 1, better."""
        pairs = zip(self.old, self.new, strict=True)
        if self.more_is_better:
            return [new / old for old, new in pairs]
        return [old / new for old, new in pairs]


def interval(values, confidence=0.95):
    """Return the bounds of the median's confidence interval, None if there is none.

    It is that of the sign test: the bounds are the k-th smallest and the k-th largest
    value, with the largest k for which the binomial distribution promises at least the
    confidence. It holds whatever the distribution, as long as rounds are independent,
    and needs six values. Twenty have the 6th and the 15th, and a confidence of 95.9 %.

    Source: J.-Y. Le Boudec, Performance Evaluation of Computer and Communication
    Systems, EPFL Press 2010, theorem 2.1, for measurements; W. J. Conover, Practical
    Nonparametric Statistics, 3rd edition, Wiley 1999, section 3.2, for the statistics.
    """
    count, outside, k = len(values), 0.0, 0
    while k < count / 2:
        outside += 2 * comb(count, k) / 2**count
        if outside > 1 - confidence:
            break
        k += 1
    ordered = sorted(values)
    return (ordered[k - 1], ordered[-k]) if k else None


def verdict(ratios, bar):
    """Say whether the whole interval reaches the bar; nothing, of too few rounds."""
    if len(ratios) < LEAST:
        return "-"
    lower, upper = interval(ratios)
    if lower >= bar:
        return "reached"
    return "**missed**: worse" if upper < bar else "**missed**: not certain"


def table(measures, bar):
    """Return the Markdown, and whether all that was judged has reached the bar."""
    rows, verdicts = [["", "old", "new", "ratio", "95 % interval", f"≥ {bar}"]], []
    for measure in measures:
        ratios = measure.ratios()
        verdicts.append(verdict(ratios, bar))
        bounds = interval(ratios)
        rows.append(
            [
                measure.name,
                show(median(measure.old)),
                show(median(measure.new)),
                f"{median(ratios):.3f}",
                f"{bounds[0]:.3f}-{bounds[1]:.3f}" if bounds else "-",
                verdicts[-1],
            ]
        )
    return grid(rows), not any("missed" in text for text in verdicts)
