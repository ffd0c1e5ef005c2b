"""The rows of workers: written, renewed, and ended when a lease is over."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from dbqueue import conf, dialects
from dbqueue.jobs import events
from dbqueue.models import Worker
from dbqueue.models.worker import WorkerQuerySet
from dbqueue.tasks import payload


def register(
    alias: str,
    id: UUID,
    *,
    name: str,
    host: str,
    pid: int,
    queues: str,
    lease: float,
    facts: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the row of a worker that starts; `lease` in seconds, `facts` for people.

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
        facts=dict(facts),
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


def note_memory(alias: str, sizes: Mapping[UUID, int]) -> None:
    """Write how many bytes of memory each worker uses."""
    for id, size in sizes.items():
        Worker.objects.using(alias).filter(pk=id).update(memory=size)


def retire(alias: str, id: UUID) -> None:
    """End the row of a worker that has exited; what it still holds is orphaned."""
    _end(alias, Worker.objects.using(alias).filter(pk=id), lost=False)


def condemn(alias: str) -> int:
    """End the rows of workers whose lease is over; return how many there were."""
    expired = Worker.objects.using(alias).expired()
    # One by one: of several keepers, one ends and announces each.
    lost = [w for w in expired if _end(alias, expired.filter(pk=w.pk), lost=True)]
    for worker in lost:
        events.worker_lost(worker)
    return len(lost)


def forget_ended(alias: str) -> int:
    """Delete the rows of workers that ended more than a day ago; return how many."""
    limit = dialects.of(alias).clock() - timedelta(seconds=conf.DAY)
    ended = Worker.everyone.using(alias).filter(ended_at__lt=limit)
    return int(ended._raw_delete(alias))


def _end(alias: str, rows: WorkerQuerySet, *, lost: bool) -> int:
    now = dialects.of(alias).clock()
    return rows.update(ended_at=now, was_lost=lost, asked=None, is_quiet=None)
