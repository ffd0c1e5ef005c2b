"""Queue depths, live workers, and why a job is not running."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter

from django.db.models import Count

from dbqueue import dialects
from dbqueue.models import Job, JobState, Worker
from dbqueue.status import why
from dbqueue.status.serving import Crew, is_known, is_served
from dbqueue.status.why import Facts

# Jobs that are counted; beyond, a count says only that there are more.
CAP = 10_000

__all__ = ["Facts", "is_known", "is_served"]

# A wing adds why a job is not running: a sentence, or None if it cannot say.
reasons: list[Callable[[Job], str | None]] = []


class AtLeast(int):
    """A count that stopped at its cap."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


@dataclass(slots=True)
class QueueStatus:
    """One queue's counts; `oldest_wait` in seconds, None with nothing ready."""

    queue: str
    ready: int = 0
    blocked: int = 0  # their lane is full
    paused: int = 0  # their task is paused
    scheduled: int = 0
    running: int = 0
    oldest_wait: float | None = None

    @property
    def waiting(self) -> int:
        """How many do not run, of those that were counted."""
        return self.ready + self.scheduled + self.blocked + self.paused


@dataclass(slots=True)
class WorkerStatus:
    """A live worker; `last_heartbeat` seconds ago, `runs` counts its jobs by task.

    `unknown_tasks` are paths that it could not import.
    """

    id: str
    name: str
    host: str
    pid: int
    queues: str
    last_heartbeat: float
    runs: dict[str, int] = field(default_factory=dict)
    unknown_tasks: list[str] = field(default_factory=list)


def queues(alias: str, cap: int | None = None) -> list[QueueStatus]:
    """Return the queues that have unfinished jobs, by name.

    Of the ready jobs of a queue, and of all scheduled ones, it counts the first `cap`;
    default CAP.
    """
    cap = CAP if cap is None else cap
    found: dict[str, QueueStatus] = {}
    for row in dialects.of(alias).queue_counts(cap):
        queue = found.setdefault(row.queue_name, QueueStatus(row.queue_name))
        state = JobState(row.state).name.lower()
        setattr(queue, state, getattr(queue, state) + row.jobs)
        if row.wait is not None:
            queue.oldest_wait = max(queue.oldest_wait or 0.0, round(row.wait, 1))
    _mark_cut_counts(found.values(), cap)
    return sorted(found.values(), key=attrgetter("queue"))


def workers(alias: str) -> list[WorkerStatus]:
    """Return the live workers with what they hold, by name."""
    held: dict[str, dict[str, int]] = {}
    running = Job.objects.using(alias).running()
    counts = running.values_list("worker_id", "task").annotate(Count("pk"))
    for worker_id, task, jobs in counts:
        held.setdefault(str(worker_id), {})[task] = jobs
    clock = dialects.of(alias).clock()
    rows = Worker.objects.using(alias).annotate(now=clock).order_by("name", "pid")
    return [
        WorkerStatus(
            id=str(worker.pk),
            name=worker.name,
            host=worker.host,
            pid=worker.pid,
            queues=worker.queues,
            last_heartbeat=_seconds(worker.last_seen, worker.now),
            runs=held.get(str(worker.pk), {}),
            unknown_tasks=worker.unknown_tasks or [],
        )
        for worker in rows
    ]


def reason(job: Job, facts: Facts | None = None) -> str:
    """Return in one sentence why an unfinished job is not running, "" if it is.

    `facts` are of its database; whoever asks of several jobs has them gathered once.
    """
    if job.state == JobState.RUNNING:
        return ""
    facts = facts or Facts(str(job._state.db))
    if (pause := why.paused(facts, job)) is not None:
        return pause
    for ask in reasons:
        if (answer := ask(job)) is not None:
            return answer
    return why.waits(facts, job)


def reasons_by_queue(alias: str, queues: Collection[QueueStatus]) -> dict[str, str]:
    """Return why the next job of each queue is not running, where one waits."""
    facts = Facts(alias)
    waiting = [queue.queue for queue in queues if queue.waiting]
    found = {name: why.queue_paused(facts, name) for name in waiting}
    rest = [name for name, words in found.items() if words is None]
    jobs = why.next_jobs(alias, rest) if rest else {}
    found |= {name: reason(job, facts) for name, job in jobs.items()}
    return {name: words for name, words in found.items() if words}


def unserved(alias: str, seconds: float) -> list[QueueStatus]:
    """Return the queues whose jobs are ready since then, and that no worker takes."""
    waiting = [q for q in queues(alias, cap=1) if (q.oldest_wait or 0.0) >= seconds]
    crew = Crew(alias)
    return [queue for queue in waiting if not crew.serves(queue.queue)]


def _mark_cut_counts(queues: Collection[QueueStatus], cap: int) -> None:
    cut = sum(queue.scheduled for queue in queues) >= cap
    cut_blocked = sum(queue.blocked for queue in queues) >= cap
    for queue in queues:
        if queue.ready >= cap:
            queue.ready = AtLeast(cap)
        if cut_blocked:
            queue.blocked = AtLeast(queue.blocked)
        if cut:
            queue.scheduled = AtLeast(queue.scheduled)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, round((now - since).total_seconds(), 1))
