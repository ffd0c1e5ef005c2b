"""Charts as SVG, drawn by the server, without script and style, each with its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, log10
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from dbqueue.admin import texts

HEIGHT, STEP, GAP = 100, 10, 1.5


@dataclass(slots=True)
class Bar:
    """What ended in one minute or hour."""

    at: datetime
    good: int = 0
    bad: int = 0
    retried: int = 0

    @property
    def all(self) -> int:
        return self.good + self.bad


@dataclass(slots=True)
class Chart:
    """Bars over time; `ticks` are labels below, evenly spread, `top` is the scale."""

    bars: Sequence[Bar]
    ticks: Sequence[str]
    top: int
    svg: SafeString
    peak: str

    @property
    def is_empty(self) -> bool:
        return not any(bar.all for bar in self.bars)

    @property
    def table(self) -> Sequence[Bar]:
        """Return the bars that have something, the newest first."""
        return [bar for bar in reversed(self.bars) if bar.all or bar.retried]


def stacked(bars: Sequence[Bar], *, by_day: bool) -> Chart:
    """Return the chart of the bars, oldest first."""
    highest = max((bar.all for bar in bars), default=0)
    top = _ceiling(highest)
    shapes = [
        shape for n, bar in enumerate(bars) for shape in _shapes(n, bar, top, by_day)
    ]
    peak = _("Most at once: %s") % highest
    svg = format_html(
        '<svg class="dbq-chart" viewBox="0 0 {} {}" preserveAspectRatio="none"'
        ' role="img" aria-label="{}"><g class="dbq-grid">'
        '<path d="M0 25H{w}M0 50H{w}M0 75H{w}"/></g>'
        "{}</svg>",
        max(1, len(bars)) * STEP,
        HEIGHT,
        f"{_('Jobs that ended')}. {peak}",
        format_html_join(
            "",
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}">'
            "<title>{}</title></rect>",
            shapes,
        ),
        w=max(1, len(bars)) * STEP,
    )
    return Chart(bars, _ticks(bars, by_day), top, svg, peak)


def sparkline(values: Sequence[int]) -> SafeString:
    """Return a small area of the values, without labels: numbers stand beside it."""
    top = max([1, *values])
    points = " ".join(
        f"L{n} {20 - 18 * value / top:.1f}" for n, value in enumerate(values)
    )
    end = max(0, len(values) - 1)
    return format_html(
        '<svg class="dbq-spark" viewBox="0 0 {} 20" preserveAspectRatio="none"'
        ' aria-hidden="true"><path d="M0 20 {} L{} 20Z"/></svg>',
        max(1, end),
        points,
        end,
    )


def _shapes(n: int, bar: Bar, top: int, by_day: bool) -> list[tuple[Any, ...]]:
    """Return class, place, size and title of what stands for a bar."""
    found: list[tuple[Any, ...]] = []
    title = _("%(at)s: %(good)s ended well, %(bad)s failed") % {
        "at": label(bar.at, by_day),
        "good": bar.good,
        "bad": bar.bad,
    }
    # The whole height answers to the pointer, also above a low bar.
    x, width = n * STEP, STEP
    found.append(("dbq-hover", x, 0, width, HEIGHT, title))
    low = float(HEIGHT)
    for name, count in (("dbq-bar-good", bar.good), ("dbq-bar-bad", bar.bad)):
        if count:
            height = max(1.5, HEIGHT * count / top)
            low -= height
            place = f"{x + GAP / 2:.2f}", f"{max(0.0, low):.2f}"
            found.append((name, *place, f"{STEP - GAP:.2f}", f"{height:.2f}", title))
    return found


def label(at: datetime, by_day: bool) -> str:
    local = texts.as_local(at)
    return f"{local:%m-%d %H:%M}" if by_day else f"{local:%H:%M}"


def _ticks(bars: Sequence[Bar], by_day: bool) -> list[str]:
    if not bars:
        return []
    last = len(bars) - 1
    return [label(bars[last * n // 6].at, by_day) for n in range(7)]


def _ceiling(highest: int) -> int:
    """Return a round number that is not lower."""
    if highest < 4:
        return 4
    unit = 10.0 ** int(log10(highest))
    factors = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return next(ceil(unit * f) for f in factors if unit * f >= highest)
