"""What surrounds jobs in a test: its transactions, their hooks, and its clock."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F
from django.utils import timezone

from dbqueue import dialects
from dbqueue.models import Job, Throttle
from dbqueue.models.job import JobQuerySet

logger = logging.getLogger(__name__)


@contextmanager
def contained() -> Iterator[None]:
    """Keep a database error inside the block from breaking the test's transactions.

    Where one was broken, all that the block wrote in it is undone.
    """
    held: list[tuple[BaseDatabaseWrapper, Any, int]] = [
        (connection, connection.savepoint(), len(connection.run_on_commit))
        for connection in _in_transactions()
    ]
    try:
        yield
    finally:
        for connection, savepoint, hooks in reversed(held):
            if not _released(connection, savepoint):
                connection.needs_rollback = False
                connection.savepoint_rollback(savepoint)
                del connection.run_on_commit[hooks:]


def run_hooks() -> None:
    """Call what waits for the commit of the test's transactions, which never comes."""
    for connection in _in_transactions():
        while connection.run_on_commit:
            waiting: tuple[Any, ...] = connection.run_on_commit.pop(0)
            _, hook, robust = waiting
            try:
                hook()
            except Exception:
                if not robust:
                    raise
                logger.exception("A hook for the commit raised")


class Clock:
    """Goes on from one due job to the next, until a moment.

    The database's own clock cannot be moved: all jobs that wait come nearer instead.
    """

    def __init__(self, alias: str, until: datetime | timedelta | None) -> None:
        self._alias = alias
        self._until = _moment(until)
        self._gone = timedelta(0)

    def advance(self, *, excluding: Collection[UUID]) -> bool:
        """Make the next job due; return False if none is, up to the last moment."""
        jobs = self._waiting().exclude(pk__in=excluding)
        first = jobs.filter(run_after__lte=self._until).order_by("run_after").first()
        if first is None or first.run_after is None:
            return False
        this = self._waiting().filter(pk=first.pk)
        before = first.run_after
        this.update(run_after=dialects.of(self._alias).clock())
        first.refresh_from_db(fields=["run_after"])
        step = before - first.run_after
        if step > timedelta(0):
            self._waiting().exclude(pk=first.pk).update(run_after=F("run_after") - step)
            self._move_ends(-step)
            self._gone += step
            self._until -= step
        return True

    def put_back(self) -> None:
        """Give the jobs that still wait their own moments again."""
        if self._gone:
            self._waiting().update(run_after=F("run_after") + self._gone)
            self._move_ends(self._gone)

    def _move_ends(self, step: timedelta) -> None:
        """Move what else ends at a moment: chances to be started, and throttles."""
        for rows in (Job.objects, Throttle.objects):
            ends = rows.using(self._alias).filter(expires_at__isnull=False)
            ends.update(expires_at=F("expires_at") + step)

    def _waiting(self) -> JobQuerySet:
        return Job.objects.using(self._alias).scheduled()


def _in_transactions() -> list[BaseDatabaseWrapper]:
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if connection.in_atomic_block and not connection.needs_rollback
    ]


def _released(connection: BaseDatabaseWrapper, savepoint: Any) -> bool:
    if connection.needs_rollback:
        return False
    try:
        connection.savepoint_commit(savepoint)
    except Error:  # PostgreSQL refuses it after an error that Django has not seen
        return False
    return True


def _moment(until: datetime | timedelta | None) -> datetime:
    if until is None or isinstance(until, timedelta):
        return timezone.now() + (until or timedelta(0))
    if not isinstance(until, datetime):
        raise TypeError(f"until={until!r} must be a datetime or a timedelta.")
    if timezone.is_naive(until) == settings.USE_TZ:
        kind = "naive" if settings.USE_TZ else "aware"
        raise ValueError(
            f"until={until!r} is {kind}; with USE_TZ={settings.USE_TZ} it must be "
            f"{'aware' if settings.USE_TZ else 'naive'}, as timezone.now() is."
        )
    return until
