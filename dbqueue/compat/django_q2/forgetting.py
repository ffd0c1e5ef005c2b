"""What is deleted by its age; a keeper's share."""

from typing import Any

from dbqueue import conf
from dbqueue.compat.django_q2.models import Call, ClusterStat
from dbqueue.compat.django_q2.store import DAY, Store
from dbqueue.models import FinishedJob, Job

# Rows that are deleted at a time.
BATCH = 1000


def forget(alias: str) -> None:
    """Delete what was refused long ago, a part of it, and what clusters said.

    It is kept for as long as jobs that have failed.
    """
    store, keep = Store(alias), conf.current().keep_failed
    stats = ClusterStat.objects.using(alias)
    old = stats.filter(expires_at__lt=store.moment(-DAY))
    if old.exists():  # on SQLite, whoever looks must not become the writer
        old._raw_delete(alias)
    if keep is not None:
        refused = store.packages.refused()
        late = refused.filter(enqueued_at__lt=store.moment(-keep))
        ids = list(late.values_list("pk", flat=True)[:BATCH])
        if ids:
            refused.filter(pk__in=ids)._raw_delete(alias)


def forget_calls(alias: str) -> None:
    """Delete the names of jobs, a part of them, whose records are gone by their age."""
    kept = conf.current().keep_successful, conf.current().keep_failed
    if None in kept:
        return
    longest = max(seconds for seconds in kept if seconds is not None)
    calls = Call.objects.using(alias)
    old = calls.filter(made_at__lt=Store(alias).moment(-longest)).order_by("made_at")
    ids = set(old.values_list("pk", flat=True)[:BATCH])
    for model in (Job, FinishedJob):
        rows: Any = model._default_manager.using(alias).filter(pk__in=ids)
        ids -= set(rows.values_list("pk", flat=True))
    if ids:
        calls.filter(pk__in=ids)._raw_delete(alias)
