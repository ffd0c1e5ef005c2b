"""How a running job is asked to stop; the worker that holds it does the rest."""

from collections.abc import Collection
from functools import partial
from uuid import UUID

from django.db import connections

from dbqueue import dialects
from dbqueue.dialects.rows import UNEXPLAINED, Request
from dbqueue.jobs import wakeup
from dbqueue.models import Job


def request_cancel(
    alias: str, ids: Collection[UUID], request: Request = UNEXPLAINED
) -> list[UUID]:
    """Ask running jobs to stop; return the ids of those that have been asked now.

    In the caller's transaction. One that was asked before is asked no second time. The
    worker is told after the commit, and looks with each heartbeat: the job will be
    CANCELLED, or SUCCESSFUL if it ends at that very moment, and is not run again.
    """
    asked, holders = [], set[UUID | None]()
    said = {"cancelled_by": request.by or None, "cancel_reason": request.why or None}
    # In this order, as all moves of several jobs: one of two waits for the other. Whose
    # row is locked ends right now, and how is known when it has.
    for id in sorted(ids):
        rows = Job.objects.using(alias).running().filter(pk=id)
        now = dialects.of(alias).clock()
        if rows.filter(cancelled_at=None).update(cancelled_at=now, **said):
            asked.append(id)
            holders.update(rows.values_list("worker_id", flat=True))
    connection, tell = connections[alias], partial(wakeup.tell_holders, alias, holders)
    if connection.in_atomic_block or connection.get_autocommit():
        connection.on_commit(tell)
    return asked
