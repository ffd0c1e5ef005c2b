"""The rows of workers: written, renewed, and removed when a lease is over."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from dbqueue import dialects
from dbqueue.jobs import events
from dbqueue.models import Worker
from dbqueue.tasks import payload


def register(
    alias: str, id: UUID, *, name: str, host: str, pid: int, queues: str, lease: float
) -> None:
    """Write the row of a worker that starts; `lease` in seconds.

    Doing it again, because the answer to the first time was lost, does no harm.
    """
    if id not in heartbeat(alias, [id], lease=lease):
        return
    now = dialects.of(alias).clock()
    Worker.objects.using(alias).create(
        id=id,
        # Both may be what the host calls itself, in bytes that are no text.
        name=payload.printable(name)[:255],
        host=payload.printable(host)[:255],
        pid=pid,
        queues=payload.printable(queues)[:1000],
        started_at=now,
        last_seen=now,
        expires_at=now + timedelta(seconds=lease),
    )


def heartbeat(alias: str, ids: Collection[UUID], *, lease: float) -> set[UUID]:
    """Renew the leases; return the workers that were declared dead in between."""
    rows = Worker.objects.using(alias).filter(pk__in=ids)
    now = dialects.of(alias).clock()
    renewed = rows.update(last_seen=now, expires_at=now + timedelta(seconds=lease))
    if renewed == len(ids):
        return set()
    return set(ids) - set(rows.values_list("pk", flat=True))


def note_unknown(alias: str, id: UUID, tasks: Collection[str]) -> None:
    """Write in a worker's row which tasks it leaves to others."""
    rows = Worker.objects.using(alias).filter(pk=id)
    rows.update(unknown_tasks=list(tasks) or None)


def retire(alias: str, id: UUID) -> None:
    """Remove the row of a worker that has exited; what it still holds is orphaned."""
    Worker.objects.using(alias).filter(pk=id).delete()


def condemn(alias: str) -> int:
    """Remove the workers whose lease is over; return how many there were."""
    expired = Worker.objects.using(alias).expired()
    # One by one: of several keepers, one removes and announces each.
    lost = [worker for worker in expired if expired.filter(pk=worker.pk).delete()[0]]
    for worker in lost:
        events.worker_lost(worker)
    return len(lost)
