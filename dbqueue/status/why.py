"""The sentences that say why a job is not running, and what to do about it."""

import shlex
from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from dbqueue import conf, dialects
from dbqueue.models import Job, JobState, Pause, entries
from dbqueue.status.serving import Crew

AHEAD = 1000  # jobs of all queues that are looked through for the next of one
_PAUSES = Q(key__startswith="queue:") | Q(key__startswith="task:")


class Facts:
    """What holds for all jobs of a database; each is asked for once."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.crew = Crew(alias)

    @cached_property
    def pauses(self) -> dict[str, Pause]:
        rows = Pause.objects.using(self.alias).filter(_PAUSES)
        return {pause.key: pause for pause in rows}

    @cached_property
    def running(self) -> dict[str, int]:
        """How many jobs run of each queue that has a limit."""
        running = Job.objects.using(self.alias).running()
        limited = running.filter(queue_name__in=list(conf.current().queues))
        counts = limited.values_list("queue_name").annotate(Count("pk"))
        return {str(queue): int(jobs) for queue, jobs in counts}


def next_jobs(alias: str, queues: Collection[str]) -> dict[str, Job]:
    """Return a job that waits in each queue, the next if there is a next.

    None of a paused queue's, and none that waits behind AHEAD of other queues.
    """
    heads = dialects.of(alias).queue_heads()
    ids = {head.queue_name: head.id for head in heads if head.queue_name in queues}
    # There is no index for these by the queue.
    for state, order in (
        (JobState.PAUSED, "task"),
        (JobState.BLOCKED, "pk"),
        (JobState.SCHEDULED, "run_after"),
    ):
        if ids.keys() >= set(queues):
            break
        rows = Job.objects.using(alias).filter(state=state).order_by(order)
        ahead: dict[str, UUID] = {}
        for queue, id in rows.values_list("queue_name", "pk")[:AHEAD]:
            ahead.setdefault(queue, id)
        ids = {queue: id for queue, id in ahead.items() if queue in queues} | ids
    jobs = Job.objects.using(alias).in_bulk(ids.values())
    return {queue: jobs[id] for queue, id in ids.items() if id in jobs}


def paused(facts: Facts, job: Job) -> str | None:
    """Return who has paused the job's task or its queue; None if neither is."""
    pause = facts.pauses.get(f"task:{job.task}")
    words = queue_paused(facts, job.queue_name) if pause is None else _paused(pause)
    if words is not None and job.state == JobState.SCHEDULED and not _is_due(job):
        words = f"{_due(job)[:-1]}, and then: {words}"
    return words


def queue_paused(facts: Facts, queue: str) -> str | None:
    """Return who has paused the queue; None if it is not."""
    pause = facts.pauses.get(f"queue:{queue}")
    return None if pause is None else _paused(pause)


def waits(facts: Facts, job: Job) -> str:
    """Return what a job waits for that is not paused, nor runs."""
    if job.state not in _SENTENCES:
        return (
            f"Its state is {job.state!r}, which no unfinished job has: the row was "
            "changed by hand. Set its column 'state' to READY, or delete it."
        )
    if job.expires_at is not None and job.expires_at <= _now():
        return f"Its deadline was {_moment(job.expires_at)}: it will end as CANCELLED."
    if job.state == JobState.SCHEDULED and not _is_due(job):
        return _due(job)
    return _unserved(facts, job) or _SENTENCES[job.state].format(
        lane=job.lane, task=job.task, full=_full(facts, job)
    )


_SENTENCES: dict[str, str] = {
    JobState.SCHEDULED: "It is due, and is made ready within moments.",
    JobState.BLOCKED: "Others of the lane {lane!r} come before it, or it is next.",
    JobState.PAUSED: "Its task {task!r} was resumed: it is made ready within moments.",
    JobState.READY: "The {full}.",
}


def _unserved(facts: Facts, job: Job) -> str:
    if not facts.crew.serves(job.queue_name):
        missing = f"No live worker takes the queue {job.queue_name!r}."
        return f"{missing} Start: manage.py runworker"
    if not facts.crew.knows(job.queue_name, job.task):
        unknown = f"No live worker of the queue {job.queue_name!r} knows {job.task!r}."
        return f"{unknown} Deploy the task to them, or correct the path."
    return ""


def _full(facts: Facts, job: Job) -> str:
    most = conf.current().queues.get(job.queue_name, {}).get("concurrency")
    if most is not None:
        count = facts.running.get(job.queue_name, 0)
        if count >= most:
            return f"queue {job.queue_name!r} is full: {count} of {most} run"
    return f"workers of the queue {job.queue_name!r} are busy"


def _due(job: Job) -> str:
    log = entries(job.attempt_log)
    last = log[-1] if log else {}
    moment = _moment(job.run_after)
    if last.get("reason") == "snoozed":
        return f"It asked to be run again at {moment}."
    if last.get("reason") in ("failed", "timeout", "lost"):
        exception = last.get("exception") or last["reason"]
        return (
            f"It is tried again at {moment}: {job.failures} of {job.max_attempts} "
            f"attempts have failed, the last by {exception}."
        )
    return f"It is scheduled for {moment}."


def _paused(pause: Pause) -> str:
    kind, _, name = pause.key.partition(":")
    by = f" by {pause.paused_by}" if pause.paused_by else ""
    reason = f": {pause.reason.rstrip('.')}" if pause.reason else ""
    resume = f"manage.py queues resume {shlex.quote(pause.key)}"
    since = _moment(pause.paused_at)
    return f"Its {kind} {name!r} is paused{by} since {since}{reason}. Start: {resume}"


def _is_due(job: Job) -> bool:
    return job.run_after is None or job.run_after <= _now()


def _now() -> datetime:
    """Return the moment as rows know it; the host's clock is near enough."""
    return timezone.now() if settings.USE_TZ else datetime.now()


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return "an unknown time"
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return str(local.replace(microsecond=0))
