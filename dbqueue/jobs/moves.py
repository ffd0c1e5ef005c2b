"""Moves that are asked for from outside a worker; each is one guarded UPDATE."""

from collections.abc import Collection
from uuid import UUID

from dbqueue import dialects
from dbqueue.models import Job


def make_due(alias: str, *, excluding: Collection[UUID] = ()) -> int:
    """Make all scheduled jobs due now, before their time; return how many there were.

    A worker promotes them next.
    """
    waiting = Job.objects.using(alias).scheduled().exclude(pk__in=excluding)
    return waiting.update(run_after=dialects.of(alias).clock())
