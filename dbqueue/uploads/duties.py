"""The workers' share in cleaning up: one of them enqueues the sweep when it is due."""

from django.utils import timezone

from dbqueue.ids import uuid7_at
from dbqueue.maintenance import duties
from dbqueue.models import Job
from dbqueue.tasks import registry
from dbqueue.uploads import work
from dbqueue.uploads.sweep.cleanup import Sweep

INTERVAL = 60.0  # seconds


def enqueue_sweep_if_due(alias: str) -> None:
    """Enqueue the sweep of this minute, under the same id from every keeper."""
    backend_alias, backend = work.backend()
    if backend.database != alias or not Sweep(alias).is_due() or _is_pending(alias):
        return
    minute = int(timezone.now().timestamp() // INTERVAL)
    job_id = uuid7_at(minute * INTERVAL, work.SWEEP)
    sweep = registry.resolve(work.SWEEP).using(backend=backend_alias, job_id=job_id)
    sweep.enqueue()


def _is_pending(alias: str) -> bool:
    """Tell whether a sweep is pending already, as when no worker serves the queue."""
    ready = Job.objects.using(alias).ready()
    return ready.filter(queue_name=work.QUEUE, task=work.SWEEP).exists()


duties.register(INTERVAL, enqueue_sweep_if_due)
