"""The workers' share in cleaning up: one of them enqueues the sweep when it is due."""

from django.utils import timezone

from dbqueue import registry
from dbqueue.chores import INTERVAL
from dbqueue.ids import uuid7_at
from dbqueue.models import Job, JobState
from dbqueue.uploads import work
from dbqueue.uploads.cleanup import Sweep


def enqueue_sweep_if_due(alias: str) -> None:
    """Enqueue the sweep of this minute, which all keepers know by the same id."""
    backend_alias, backend = work.backend()
    if backend.database != alias or not Sweep(alias).is_due() or _waits(alias):
        return
    minute = int(timezone.now().timestamp() // INTERVAL)
    task = registry.resolve(work.SWEEP).using(
        backend=backend_alias,
        job_id=uuid7_at(minute * INTERVAL, work.SWEEP),
    )
    task.enqueue()


def _waits(alias: str) -> bool:
    """Tell whether a sweep waits already, as where no worker takes the queue."""
    ready = Job.objects.using(alias).filter(state=JobState.READY)
    return ready.filter(queue_name=work.QUEUE, task=work.SWEEP).exists()
