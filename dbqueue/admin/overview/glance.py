"""The overview: tiles, queues, tasks, failures and warnings, in a few queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from dbqueue import conf, dialects, status
from dbqueue.admin.listing.rows import lean
from dbqueue.admin.overview import history, warnings
from dbqueue.admin.overview.charts import sparkline
from dbqueue.admin.overview.history import TaskFigures
from dbqueue.dialects.scan import Scan
from dbqueue.models import Job, Pause, Worker

MOST_RECENT = 500  # rows by whose age the rate of new jobs is told
MOST_FAILURES = 10_000
MOST_SHOWN = 10
MOST_RUNNING = 6  # of the jobs that run, those that began first
MOST_WORKERS = 1_000


@dataclass(slots=True)
class QueueFigures:
    """One queue, as it is now and as it was in the range."""

    name: str
    waiting: int = 0
    scheduled: int = 0
    blocked: int = 0
    running: int = 0
    oldest: float | None = None
    rate_in: float | None = None
    rate_out: float | None = None
    ended: int = 0
    failed: int = 0
    is_served: bool = True
    limit: int | None = None
    pause: Pause | None = None
    spark: Any = ""


class Glance:
    """What the overview shows of one database; `wanted` is its range."""

    def __init__(self, alias: str, wanted: str) -> None:
        self.alias = alias
        self.range = wanted if wanted in history.RANGES else "1h"
        self.now = timezone.now()
        self.history = history.of(alias, self.range)
        self.counts = status.queues(alias)
        dialect = dialects.of(alias)
        self.failures, self._recent = dialect.lately(
            seconds=86_400.0, most_failures=MOST_FAILURES, most_recent=MOST_RECENT
        )
        self.workers = self._workers()
        self.pauses: Mapping[str, Pause] = Pause.objects.using(alias).in_bulk()
        running = lean(Job.objects.using(alias).running())
        self.longest = list(running.order_by("last_attempted_at", "id")[:MOST_RUNNING])

    def _workers(self) -> list[Worker]:
        """Return those that live, and those that were lost lately."""
        lately = self.now - timedelta(seconds=warnings.LATELY)
        lost = Q(was_lost=True, ended_at__gte=lately)
        rows = Worker.everyone.using(self.alias).filter(Q(ended_at=None) | lost)
        return list(rows.order_by("name", "pid")[:MOST_WORKERS])

    @property
    def names(self) -> dict[UUID, str]:
        """The names of workers, by their ids."""
        return {worker.pk: worker.name for worker in self.workers}

    @property
    def slots(self) -> int:
        """How many jobs the threads of live workers can run at once."""
        facts = [w.facts for w in self.live if isinstance(w.facts, dict)]
        return sum(n for f in facts if isinstance(n := f.get("threads"), int))

    @cached_property
    def live(self) -> list[Worker]:
        """The workers that have not ended."""
        return [worker for worker in self.workers if worker.ended_at is None]

    @property
    def waiting(self) -> int:
        return _sum(n for q in self.counts for n in (q.ready, q.blocked, q.paused))

    @property
    def running(self) -> int:
        return _sum(queue.running for queue in self.counts)

    @property
    def scheduled(self) -> int:
        return _sum(queue.scheduled for queue in self.counts)

    @property
    def failed(self) -> int:
        found = sum(group.jobs for group in self.failures)
        return found if found < MOST_FAILURES else status.AtLeast(found)

    @property
    def oldest(self) -> float | None:
        return max((q.oldest_wait for q in self.counts if q.oldest_wait), default=None)

    @property
    def p95_wait(self) -> float | None:
        return self.history.percentile("waits", 0.95)

    @property
    def p95_run(self) -> float | None:
        return self.history.percentile("runs", 0.95)

    @cached_property
    def queues(self) -> list[QueueFigures]:
        """The queues that have jobs, had some lately, or are paused."""
        found: dict[str, QueueFigures] = {}
        for count in self.counts:
            queue = found.setdefault(count.queue, QueueFigures(count.queue))
            queue.waiting, queue.running = count.ready, count.running
            queue.scheduled, queue.oldest = count.scheduled, count.oldest_wait
            queue.blocked = _sum((count.blocked, count.paused))
        for task in self.history.tasks:
            queue = found.setdefault(task.queue, QueueFigures(task.queue))
            queue.ended += task.ended
            queue.failed += task.failed
        for name in self._recent:
            found.setdefault(name, QueueFigures(name))
        for key, pause in self.pauses.items():
            kind, _, name = key.partition(":")
            if kind == "queue":
                found.setdefault(name, QueueFigures(name)).pause = pause
        for queue in found.values():
            self._fill(queue)
        return sorted(found.values(), key=lambda queue: queue.name)

    def _fill(self, queue: QueueFigures) -> None:
        queue.is_served = any(
            Scan.of(worker.queues).rank(queue.name) is not None for worker in self.live
        )
        queue.limit = conf.current().queues.get(queue.name, {}).get("concurrency")
        queue.rate_in = self._recent.get(queue.name)
        queue.rate_out = self.history.rates.get(queue.name)
        queue.spark = sparkline(self.history.minutes.get(queue.name, [0] * 60))

    @property
    def tasks(self) -> list[TaskFigures]:
        """The tasks on which the most time is spent, and those that fail most."""
        ran = [task for task in self.history.tasks if task.attempts]
        slow = sorted(ran, key=lambda t: t.seconds, reverse=True)[:MOST_SHOWN]
        bad = sorted(ran, key=lambda t: t.attempts_failed, reverse=True)[:MOST_SHOWN]
        failing = [task for task in bad if task.attempts_failed and task not in slow]
        return (failing[: MOST_SHOWN // 2] + slow)[:MOST_SHOWN]

    @cached_property
    def warnings(self) -> list[warnings.Notice]:
        return warnings.of(self)


def _sum(counts: Any) -> int:
    """Return the sum; that of counts that stopped at their cap says so."""
    found = list(counts)
    capped = any(isinstance(count, status.AtLeast) for count in found)
    return status.AtLeast(sum(found)) if capped else sum(found)
