"""How a running job is asked to stop."""

from collections.abc import Collection
from uuid import UUID

from dbqueue import dialects
from dbqueue.models import Job


def request_cancel(
    alias: str, ids: Collection[UUID], *, reason: str = ""
) -> list[UUID]:
    """Ask running jobs to stop; return the ids of those that have been asked now.

    In the caller's transaction. One that was asked before is asked no second time.
    """
    asked = []
    for id in ids:
        running = Job.objects.using(alias).running().filter(pk=id)
        if running.filter(cancelled_at=None).update(
            cancelled_at=dialects.of(alias).clock()
        ):
            asked.append(id)
    return asked
