"""What stands in the queues and who works on them, in three queries."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from django.db.models import Count

from dbqueue import dialects
from dbqueue.models import Job, JobState, Worker

# Jobs that are counted: beyond, only that there are so many.
CAP = 10_000


class AtLeast(int):
    """A number of jobs that nobody counted to the end."""

    def __str__(self) -> str:
        return f"{int(self)}+"


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
    """Return the queues that have unfinished jobs, by name.

    Of the ready jobs of a queue, and of all scheduled ones, it counts the first CAP.
    """
    found: dict[str, QueueStatus] = {}
    for row in dialects.of(alias).standing(CAP):
        queue = found.setdefault(row.queue_name, QueueStatus(row.queue_name))
        state = JobState(row.state).name.lower()
        setattr(queue, state, getattr(queue, state) + row.jobs)
        if row.wait is not None:
            queue.oldest_wait = max(queue.oldest_wait or 0.0, round(row.wait, 1))
    _mark_cut_counts(found.values())
    return sorted(found.values(), key=attrgetter("queue"))


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


def _mark_cut_counts(queues: Collection[QueueStatus]) -> None:
    cut = sum(queue.scheduled for queue in queues) >= CAP
    for queue in queues:
        if queue.ready >= CAP:
            queue.ready = AtLeast(CAP)
        if cut:
            queue.scheduled = AtLeast(queue.scheduled)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, round((now - since).total_seconds(), 1))
