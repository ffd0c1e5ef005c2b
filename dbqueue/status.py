"""What stands in the queues and who works on them, in three queries."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Max, Min
from django.db.models.functions import Coalesce, Greatest

from dbqueue import dialects
from dbqueue.models import Job, JobState, Worker


@dataclass(slots=True)
class QueueStatus:
    """One queue's counts; `oldest_wait` in seconds, None with nothing ready."""

    queue: str
    ready: int = 0
    scheduled: int = 0
    running: int = 0
    oldest_wait: float | None = None


@dataclass(slots=True)
class WorkerStatus:
    """A live worker; `last_heartbeat` seconds ago, `runs` counts its jobs by task."""

    id: str
    name: str
    host: str
    pid: int
    queues: str
    last_heartbeat: float
    runs: dict[str, int] = field(default_factory=dict)


def queues(alias: str) -> list[QueueStatus]:
    """Return the queues that have unfinished jobs, by name."""
    found: dict[str, QueueStatus] = {}
    clock = dialects.of(alias).clock()
    rows = (
        Job.objects.using(alias)
        .values("queue_name", "state")
        .annotate(jobs=Count("pk"), waits_since=Min(_DUE_SINCE), now=Max(clock))
        .order_by("queue_name")
    )
    for row in rows:
        queue = found.setdefault(row["queue_name"], QueueStatus(row["queue_name"]))
        setattr(queue, JobState(row["state"]).name.lower(), row["jobs"])
        if row["state"] == JobState.READY:
            queue.oldest_wait = _seconds(row["waits_since"], row["now"])
    return list(found.values())


def workers(alias: str) -> list[WorkerStatus]:
    """Return the live workers with what they hold, by name."""
    held: dict[str, dict[str, int]] = {}
    running = Job.objects.using(alias).filter(state=JobState.RUNNING)
    for worker_id, task, jobs in running.values_list("worker_id", "task").annotate(
        Count("pk")
    ):
        held.setdefault(str(worker_id), {})[task] = jobs
    return [
        WorkerStatus(
            id=str(worker.pk),
            name=worker.name,
            host=worker.host,
            pid=worker.pid,
            queues=worker.queues,
            last_heartbeat=_seconds(worker.last_seen, now),
            runs=held.get(str(worker.pk), {}),
        )
        for worker in Worker.objects.using(alias)
        .annotate(now=dialects.of(alias).clock())
        .order_by("name", "pid")
        for now in [worker.now]
    ]


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, round((now - since).total_seconds(), 1))


# A job that was scheduled waits since it was due, any other since it was enqueued.
_DUE_SINCE = Coalesce(Greatest("run_after", "enqueued_at"), "enqueued_at")
