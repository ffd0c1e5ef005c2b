"""What every keeper repeats for limits: to write the declared ones, and to prune."""

from django.db.models import Exists, OuterRef, Q

from dbqueue import dialects
from dbqueue.limits import changes, stores
from dbqueue.limits.models import Lane
from dbqueue.maintenance import duties
from dbqueue.models import Job

IDLE = 3600.0  # seconds since a lane last let a job in
BATCH = 1000

# A worker with other code may have written what it declares: who starts last is right.
_declared: set[str] = set()


def declare_once(alias: str) -> None:
    """Write what this process declares, if it has not."""
    if alias not in _declared:
        changes.declare(alias)
        _declared.add(alias)


def prune(alias: str) -> int:
    """Delete up to BATCH lanes that hold nothing and for which nothing waits.

    Return how many were deleted.
    """
    dialect, store = dialects.of(alias), stores.of(alias)
    oldest = store.now() - IDLE
    idle = Lane.objects.using(alias).filter(
        Q(spent_until=None) | Q(spent_until__lt=oldest),
        used_at__lt=oldest,
        concurrency=None,
        weight=None,
    )
    found = list(idle.order_by("pk").values_list("pk", flat=True)[:BATCH])
    if not found:
        return 0
    waiting = Job.objects.using(alias).blocked().filter(lane=OuterRef("pk"))
    with dialect.one_commit():
        locked = store.lock(found)
        # What has ended is no holder: the facts are of after the lock.
        empty = [facts.key for facts in store.facts(locked) if not facts.holders]
        rows = Lane.objects.using(alias).filter(pk__in=empty)
        return rows.filter(~Exists(waiting))._raw_delete(alias)


duties.register(10.0, declare_once)
duties.register(600.0, prune)
