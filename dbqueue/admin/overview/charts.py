"""Charts as SVG, drawn by the server, without script and style, each with its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, floor, log10
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
    # Seconds that 95 % did not exceed, before their first start and in their last run.
    wait: float | None = None
    run: float | None = None

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


@dataclass(slots=True)
class Times:
    """Lines of how long jobs waited and ran; `scale` are its marks, the highest first.

    From one mark to the next it is ten times as long.
    """

    svg: SafeString
    scale: Sequence[str]


def times(bars: Sequence[Bar], *, by_day: bool) -> Times:
    """Return the lines of the bars, oldest first."""
    told = [t for bar in bars for t in (bar.wait, bar.run) if t is not None]
    low, high = _decades(told)
    width, unit = max(1, len(bars)) * STEP, HEIGHT / (high - low)

    def line(seconds: Sequence[float | None]) -> str:
        path, is_drawn = "", False
        for n, each in enumerate(seconds):
            if each is not None:
                y = HEIGHT - unit * (log10(max(each, 10.0**low)) - low)
                path += f"V{y:.1f}" if is_drawn else f"M{n * STEP} {y:.1f}"
                path += f"H{(n + 1) * STEP}"
            is_drawn = each is not None
        return path

    svg = format_html(
        '<svg class="dbq-chart" viewBox="0 0 {} {}" preserveAspectRatio="none"'
        ' role="img" aria-label="{}"><g class="dbq-grid"><path d="{}"/></g>'
        '<path class="dbq-line-run" d="{}"/><path class="dbq-line-wait" d="{}"/>{}'
        "</svg>",
        width,
        HEIGHT,
        _("How long 95 of 100 jobs waited and ran at most"),
        "".join(f"M0 {unit * n:.1f}H{width}" for n in range(1, high - low)),
        line([bar.run for bar in bars]),
        line([bar.wait for bar in bars]),
        format_html_join(
            "",
            '<rect class="dbq-hover" x="{}" y="0" width="{}" height="{}">'
            "<title>{}</title></rect>",
            [
                (n * STEP, STEP, HEIGHT, _of_times(bar, by_day))
                for n, bar in enumerate(bars)
                if bar.wait is not None or bar.run is not None
            ],
        ),
    )
    marks = [texts.plain_duration(10.0**n) for n in range(high, low - 1, -1)]
    return Times(svg, marks)


def _of_times(bar: Bar, by_day: bool) -> str:
    said = {
        "at": label(bar.at, by_day),
        "wait": "-" if bar.wait is None else texts.plain_duration(bar.wait),
        "run": "-" if bar.run is None else texts.plain_duration(bar.run),
    }
    return _("%(at)s: 95 of 100 waited %(wait)s and ran %(run)s at most") % said


def _decades(seconds: Sequence[float]) -> tuple[int, int]:
    """Return powers of ten between which the times are, at least two of them."""
    if not seconds:
        return -2, 1
    low = max(-3, floor(log10(max(min(seconds), 0.001))))
    return low, max(low + 2, ceil(log10(max(*seconds, 0.001))))


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
