"""What people are shown and no move asks for: statistics, failures, rates."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dbqueue.dialects import rows, statistics

# The newest of each kind by an index, and only then in groups; ids are in the order of
# the enqueues. What is at hand in one statement costs one way to the database.
LATELY = """
SELECT * FROM (
    SELECT 'failed' AS kind, exception AS name, task, count(*) AS jobs,
        max(finished_at) AS at
    FROM (SELECT exception, task, finished_at FROM dbqueue_finishedjob
          WHERE state = 'FAILED' AND finished_at > %s
          ORDER BY finished_at DESC LIMIT %s) AS latest
    GROUP BY exception, task
    ORDER BY count(*) DESC, task LIMIT 200
) AS failures
UNION ALL
SELECT 'enqueued', queue_name, NULL, NULL, coalesce(enqueued_at, NULL) FROM (
    SELECT id, queue_name, enqueued_at FROM dbqueue_job ORDER BY id DESC LIMIT %s
) AS unfinished
UNION ALL
SELECT 'enqueued', queue_name, NULL, NULL, coalesce(enqueued_at, NULL) FROM (
    SELECT id, queue_name, enqueued_at FROM dbqueue_finishedjob
    ORDER BY id DESC LIMIT %s
) AS finished
"""
RECENT_SECONDS = 300.0


class Shown:
    """See Dialect, of which it is a part."""

    connection: Any

    def lately(
        self, *, seconds: float, most_failures: int, most_recent: int
    ) -> tuple[list[rows.FailureGroup], dict[str, float]]:
        """Return groups of failures, and how many jobs a second came into each queue.

        The first are of the latest `most_failures` jobs that have FAILED within so many
        seconds; the second of five minutes, by the newest `most_recent` of either
        table.
        """
        since = timezone.now() - timedelta(seconds=seconds)
        values = [_written(self.connection, since), most_failures]
        found = self._shown(LATELY, [*values, most_recent, most_recent])
        failures = [
            rows.FailureGroup(name, task, jobs, _read(at))
            for kind, name, task, jobs, at in found
            if kind == "failed"
        ]
        failures.sort(key=lambda group: (-group.jobs, group.task))
        enqueued = [(row[1], _read(row[-1])) for row in found if row[0] != "failed"]
        return failures, _rates(enqueued, most_recent)

    def pins(self, seconds: float) -> list[rows.Pin]:
        """Return what keeps vacuum from its work for longer than that."""
        return []

    def add_statistics(self, found: Sequence[Sequence[Any]]) -> None:
        """Add rows of statistics.COLUMNS, their moments as seconds since the epoch."""
        for first in range(0, len(found), statistics.ROWS):
            some = found[first : first + statistics.ROWS]
            values: list[Any] = []
            for span, at, *rest in some:
                moment = datetime.fromtimestamp(at, UTC)
                values += [span, _written(self.connection, moment), *rest]
            with self.one_commit(), self.connection.cursor() as cursor:
                cursor.execute(statistics.add(len(some)), values)

    def one_commit(self) -> Any:
        raise NotImplementedError

    def _shown(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _rates(found: list[tuple[str, datetime]], most: int) -> dict[str, float]:
    """Return how many a second came lately, by queue."""
    since = timezone.now() - timedelta(seconds=RECENT_SECONDS)
    if timezone.is_naive(since):
        since = timezone.make_aware(since)
    lately = [(queue, at) for queue, at in found if at > since]
    # The others may be older than these, and were not looked at.
    first = min((at for _, at in lately), default=since)
    seconds = RECENT_SECONDS
    if len(lately) >= most:
        seconds = max(1.0, (timezone.now() - first).total_seconds())
    rates: dict[str, float] = {}
    for queue, _ in lately:
        rates[queue] = rates.get(queue, 0.0) + 1 / seconds
    return rates


def _written(connection: BaseDatabaseWrapper, moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(rows.as_kept(moment))


def _read(value: Any) -> datetime:
    """Return a moment with its zone; of a damaged one, the earliest."""
    try:
        moment = value if isinstance(value, datetime) else parse_datetime(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None:
        return datetime.min.replace(tzinfo=UTC)
    if timezone.is_aware(moment):
        return moment
    return moment.replace(tzinfo=_zone())


def _zone() -> Any:
    return UTC if settings.USE_TZ else timezone.get_default_timezone()
