"""What the statistics say of an hour, a day or a week."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone

from dbqueue.admin.overview.charts import Bar, Chart, Times, stacked, times
from dbqueue.dialects.statistics import (
    ENDS,
    HOUR,
    MINUTE,
    RUNS,
    WAITS,
    percentile,
)
from dbqueue.models import Statistic

# Span of a row, and how many of them a chart has.
RANGES = {"1h": (MINUTE, 60), "24h": (HOUR, 24), "7d": (HOUR, 168)}
RATE_MINUTES = 5
MOST_ROWS = 5_000


@dataclass(slots=True)
class TaskFigures:
    """What a task did in the range; times in seconds."""

    queue: str
    task: str
    succeeded: int
    failed: int
    cancelled: int
    retried: int
    seconds: float
    runs: list[int]
    waits: list[int]

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled

    @property
    def attempts_failed(self) -> int:
        return self.failed + self.retried

    @property
    def attempts(self) -> int:
        return self.ended + self.retried

    @property
    def p50(self) -> float | None:
        return percentile(self.runs, 0.5)

    @property
    def p95(self) -> float | None:
        return percentile(self.runs, 0.95)

    @property
    def p95_wait(self) -> float | None:
        return percentile(self.waits, 0.95)


@dataclass(slots=True)
class History:
    chart: Chart
    times: Times
    tasks: list[TaskFigures]
    # Jobs that ended in each minute of the last hour, and a second lately, by queue.
    minutes: dict[str, list[int]] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    def percentile(self, name: str, share: float) -> float | None:
        """Return a percentile over all tasks of `runs` or `waits`."""
        columns = [getattr(task, name) for task in self.tasks]
        return percentile([sum(c) for c in zip(*columns, strict=True)], share)


def of(alias: str, wanted: str) -> History:
    """Return what the statistics of the range say, in two queries."""
    span, bars = RANGES[wanted]
    now = timezone.now()
    begin = _floor(now, span) - timedelta(seconds=span * (bars - 1))
    hour_ago = _floor(now, MINUTE) - timedelta(minutes=59)
    rows = Statistic.objects.using(alias)
    found = list(
        rows.filter(Q(span=span, at__gte=begin) | Q(span=MINUTE, at__gte=hour_ago))
        .values_list("span", "at", "queue_name")
        .annotate(*(Sum(name) for name in (*ENDS, *WAITS, *RUNS)))
        .order_by()
    )
    made = [Bar(begin + timedelta(seconds=span * n)) for n in range(bars)]
    _fill(made, [row for row in found if row[0] == span])
    by_day = wanted == "7d"
    history = History(
        stacked(made, by_day=by_day),
        times(made, by_day=by_day),
        _tasks(rows.filter(span=span, at__gte=begin)),
    )
    _add_minutes(history, [row for row in found if row[0] == MINUTE], hour_ago)
    return history


def tasks(alias: str, wanted: str) -> list[TaskFigures]:
    """Return what each task did in the range."""
    span, bars = RANGES[wanted]
    begin = _floor(timezone.now(), span) - timedelta(seconds=span * (bars - 1))
    return _tasks(Statistic.objects.using(alias).filter(span=span, at__gte=begin))


def _tasks(rows: Any) -> list[TaskFigures]:
    names = (*ENDS, "seconds", *RUNS, *WAITS)
    sums: Any = rows.values_list("queue_name", "task")
    sums = sums.annotate(*(Sum(name) for name in names))
    return [_figures(row) for row in sums.order_by()[:MOST_ROWS]]


def _figures(row: Any) -> TaskFigures:
    queue, task, succeeded, failed, cancelled, retried, seconds, *counts = row
    return TaskFigures(
        queue=queue,
        task=task,
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        retried=retried,
        seconds=seconds,
        runs=counts[: len(RUNS)],
        waits=counts[len(RUNS) :],
    )


def _fill(bars: list[Bar], rows: list[Any]) -> None:
    """Add what the rows say to the bars of their moments."""
    by_moment = {bar.at: bar for bar in bars}
    counts: dict[datetime, list[int]] = {}
    for _span, at, _queue, succeeded, failed, cancelled, retried, *buckets in rows:
        bar = by_moment.get(_aware(at))
        if bar is not None:
            bar.good += succeeded + cancelled
            bar.bad += failed
            bar.retried += retried
            known = counts.get(bar.at, [0] * len(buckets))
            counts[bar.at] = [*map(add, known, buckets)]
    for at, buckets in counts.items():
        bar = by_moment[at]
        bar.wait = percentile(buckets[: len(WAITS)], 0.95)
        bar.run = percentile(buckets[len(WAITS) :], 0.95)


def _add_minutes(history: History, rows: list[Any], begin: datetime) -> None:
    minutes: dict[str, list[int]] = defaultdict(lambda: [0] * 60)
    for _span, at, queue, succeeded, failed, cancelled, *_rest in rows:
        n = int((_aware(at) - begin).total_seconds()) // MINUTE
        if 0 <= n < 60:
            minutes[queue][n] += succeeded + failed + cancelled
    history.minutes = dict(minutes)
    # Without the minute that has just begun: it is short.
    history.rates = {
        queue: sum(counts[-RATE_MINUTES - 1 : -1]) / (RATE_MINUTES * MINUTE)
        for queue, counts in minutes.items()
    }


def _floor(moment: datetime, span: int) -> datetime:
    seconds = int(_aware(moment).timestamp())
    return datetime.fromtimestamp(seconds // span * span, UTC)


def _aware(moment: datetime) -> datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
