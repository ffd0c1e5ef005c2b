"""The workers' share: one of them enqueues the pruning of files when it is due."""

from django.utils import timezone

from dbqueue.backend import our_backends
from dbqueue.ids import uuid7_at
from dbqueue.maintenance import duties
from dbqueue.models import Job
from dbqueue.progress.models import JobFile
from dbqueue.tasks import registry
from dbqueue.tasks.framework import DEFAULT_TASK_QUEUE_NAME

INTERVAL = 60.0  # seconds
PRUNE = "dbqueue.progress.tasks.prune"


def enqueue_prune_if_due(alias: str) -> None:
    """Enqueue the pruning of this minute, under the same id from every keeper."""
    ours = our_backends().items()
    found = [(name, known) for name, known in ours if known.database == alias]
    if not found or not JobFile.objects.using(alias).due().exists():
        return
    backend_alias, backend = found[0]
    queue = DEFAULT_TASK_QUEUE_NAME
    if backend.queues and queue not in backend.queues:
        queue = min(backend.queues)
    waiting = Job.objects.using(alias).ready().filter(queue_name=queue, task=PRUNE)
    if waiting.exists():
        return
    minute = int(timezone.now().timestamp() // INTERVAL)
    job_id = uuid7_at(minute * INTERVAL, PRUNE)
    task = registry.resolve(PRUNE)
    task.using(backend=backend_alias, queue_name=queue, job_id=job_id).enqueue()


duties.register(INTERVAL, enqueue_prune_if_due)
