"""The sentences that say why a job is not running, and what to do about it."""

import shlex
from collections.abc import Collection
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
        due = _due(job).rstrip(".")
        words = _("%(due)s, and then: %(words)s") % {"due": due, "words": words}
    return words


def queue_paused(facts: Facts, queue: str) -> str | None:
    """Return who has paused the queue; None if it is not."""
    pause = facts.pauses.get(f"queue:{queue}")
    return None if pause is None else _paused(pause)


def waits(facts: Facts, job: Job) -> str:
    """Return what a job waits for that is not paused, nor runs."""
    if job.state != JobState.READY and job.state not in _SENTENCES:
        return _(
            "Its state is %(state)s, which no unfinished job has: the row was changed "
            "by hand. Set its column 'state' to READY, or delete it."
        ) % {"state": repr(job.state)}
    if job.expires_at is not None and job.expires_at <= _now():
        deadline = _moment(job.expires_at)
        said = _("Its deadline was %(moment)s: it will end as CANCELLED.")
        return said % {"moment": deadline}
    if job.state == JobState.SCHEDULED and not _is_due(job):
        return _due(job)
    if unserved := _unserved(facts, job):
        return unserved
    if job.state == JobState.READY:
        return _busy(facts, job)
    names = {"lane": repr(job.lane), "task": repr(job.task)}
    return str(_SENTENCES[job.state] % names)


_SENTENCES: dict[str, Any] = {
    JobState.SCHEDULED: gettext_lazy("It is due, and is made ready within moments."),
    JobState.BLOCKED: gettext_lazy(
        "Others of the lane %(lane)s come before it, or it is next."
    ),
    JobState.PAUSED: gettext_lazy(
        "Its task %(task)s was resumed: it is made ready within moments."
    ),
}


def _unserved(facts: Facts, job: Job) -> str:
    names = {"queue": repr(job.queue_name), "task": repr(job.task)}
    if not facts.crew.serves(job.queue_name):
        return (
            _("No live worker takes the queue %(queue)s. Start: manage.py runworker")
            % names
        )
    if not facts.crew.knows(job.queue_name, job.task):
        return (
            _(
                "No live worker of the queue %(queue)s knows %(task)s. Deploy the task "
                "to them, or correct the path."
            )
            % names
        )
    return ""


def _busy(facts: Facts, job: Job) -> str:
    queue = repr(job.queue_name)
    most = conf.current().queues.get(job.queue_name, {}).get("concurrency")
    if most is not None:
        count = facts.running.get(job.queue_name, 0)
        if count >= most:
            said = _("The queue %(queue)s is full: %(count)d of %(most)d run.")
            return said % {"queue": queue, "count": count, "most": most}
    return _("The workers of the queue %(queue)s are busy.") % {"queue": queue}


def _due(job: Job) -> str:
    log = entries(job.attempt_log)
    last = log[-1] if log else {}
    values: dict[str, Any] = {"moment": _moment(job.run_after)}
    if last.get("reason") == "snoozed":
        return _("It asked to be run again at %(moment)s.") % values
    if last.get("reason") in ("failed", "timeout", "lost"):
        values |= {"failures": job.failures, "most": job.max_attempts}
        values["exception"] = last.get("exception") or last["reason"]
        return (
            _(
                "It is tried again at %(moment)s: %(failures)d of %(most)d attempts "
                "have failed, the last by %(exception)s."
            )
            % values
        )
    return _("It is scheduled for %(moment)s.") % values


def _paused(pause: Pause) -> str:
    kind, _sep, name = pause.key.partition(":")
    reason = f": {pause.reason.rstrip('.')}" if pause.reason else ""
    values = {
        "name": repr(name),
        "by": pause.paused_by,
        "since": _moment(pause.paused_at) + reason,
        "resume": f"manage.py queues resume {shlex.quote(pause.key)}",
    }
    return str(_PAUSED[kind, bool(pause.paused_by)] % values)


# By what is paused, and whether it is known by whom.
_PAUSED: dict[tuple[str, bool], Any] = {
    ("task", False): gettext_lazy(
        "Its task %(name)s is paused since %(since)s. Start: %(resume)s"
    ),
    ("task", True): gettext_lazy(
        "Its task %(name)s is paused by %(by)s since %(since)s. Start: %(resume)s"
    ),
    ("queue", False): gettext_lazy(
        "Its queue %(name)s is paused since %(since)s. Start: %(resume)s"
    ),
    ("queue", True): gettext_lazy(
        "Its queue %(name)s is paused by %(by)s since %(since)s. Start: %(resume)s"
    ),
}


def _is_due(job: Job) -> bool:
    return job.run_after is None or job.run_after <= _now()


def _now() -> datetime:
    """Return the moment as rows know it; the host's clock is near enough."""
    return timezone.now() if settings.USE_TZ else datetime.now()


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return _("an unknown time")
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return str(local.replace(microsecond=0))
