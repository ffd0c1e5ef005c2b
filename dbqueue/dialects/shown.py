"""What people are shown and no move asks for: statistics, failures, rates."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from dbqueue.dialects import rows, statistics

# The newest of them by an index, and only then in groups.
FAILURES = """
SELECT exception, task, count(*), max(finished_at)
FROM (SELECT exception, task, finished_at FROM dbqueue_finishedjob
      WHERE state = 'FAILED' AND finished_at > %s
      ORDER BY finished_at DESC LIMIT %s) AS latest
GROUP BY exception, task
ORDER BY count(*) DESC, task LIMIT 200
"""

# Ids are in the order of the enqueues.
RECENT = """
SELECT queue_name, coalesce(enqueued_at, NULL) FROM (
    SELECT id, queue_name, enqueued_at FROM dbqueue_job ORDER BY id DESC LIMIT %s
) AS unfinished
UNION ALL
SELECT queue_name, coalesce(enqueued_at, NULL) FROM (
    SELECT id, queue_name, enqueued_at FROM dbqueue_finishedjob
    ORDER BY id DESC LIMIT %s
) AS finished
"""
RECENT_SECONDS = 300.0


class Shown:
    """See Dialect, of which it is a part."""

    connection: Any

    def failures(self, *, seconds: float, most: int) -> list[rows.FailureGroup]:
        """Group the jobs that have FAILED within so many seconds, the latest `most`."""
        since = timezone.now() - timedelta(seconds=seconds)
        found = self._shown(FAILURES, [_written(self.connection, since), most])
        return [rows.FailureGroup(e, t, n, _read(last)) for e, t, n, last in found]

    def recent(self, most: int) -> dict[str, float]:
        """Return how many jobs a second came within five minutes into each queue.

        It looks at the newest `most` of either table.
        """
        found = self._shown(RECENT, [most, most])
        since = timezone.now() - timedelta(seconds=RECENT_SECONDS)
        if timezone.is_naive(since):
            since = timezone.make_aware(since)
        lately = [(q, at) for q, moment in found if (at := _read(moment)) > since]
        # The others may be older than these, and were not looked at.
        first = min((at for _, at in lately), default=since)
        seconds = RECENT_SECONDS
        if len(lately) >= most:
            seconds = max(1.0, (timezone.now() - first).total_seconds())
        rates: dict[str, float] = {}
        for queue, _ in lately:
            rates[queue] = rates.get(queue, 0.0) + 1 / seconds
        return rates

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
