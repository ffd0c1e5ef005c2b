"""What needs somebody: each warning says what to do."""

import time
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from dbqueue import conf, dialects
from dbqueue.admin import texts
from dbqueue.models import FinishedJob, JobState

UNSERVED_AFTER = 10.0  # seconds that a job waits in a queue that nobody takes
DEAF_AFTER = 30.0  # seconds since a worker has started that hears of no jobs
LATELY = 3600.0  # seconds since a worker was lost
PINNED_AFTER = 300.0  # seconds of a transaction that keeps vacuum from its work
LATE_PRUNING = 2 * 3600.0  # seconds past the age at which a job is pruned
HEALTH_INTERVAL = 30.0  # seconds between two looks at what changes slowly
_health: dict[str, dict[Any, tuple[float, list["Notice"]]]] = {}


@dataclass(slots=True)
class Notice:
    """What is wrong, what to do, and a command for it; `level` is bad or warning."""

    text: str
    cure: str = ""
    command: str = ""
    level: str = "warning"


def of(glance: Any) -> list[Notice]:
    """Return what there is to say of what a Glance has seen."""
    return [
        *_unserved(glance),
        *_unknown(glance),
        *_lost(glance),
        *_deaf(glance),
        *_paused(glance),
        *_slow_facts(glance.alias),
    ]


def _unserved(glance: Any) -> list[Notice]:
    found = []
    for queue in glance.queues:
        waits = queue.oldest or 0.0
        if queue.is_served or queue.pause or waits < UNSERVED_AFTER:
            continue
        text = ngettext(
            "%(jobs)s job waits %(time)s in %(queue)s; no worker takes this queue.",
            "%(jobs)s jobs wait %(time)s in %(queue)s; no worker takes this queue.",
            int(queue.waiting),
        ) % {
            "jobs": queue.waiting,
            "time": texts.plain_duration(waits),
            "queue": queue.name,
        }
        command = f"manage.py runworker --queues {queue.name}"
        found.append(Notice(text, _("Start one:"), command, "bad"))
    return found


def _unknown(glance: Any) -> list[Notice]:
    unknown = {task for worker in glance.live for task in worker.unknown_tasks or []}
    known_to_nobody = [
        task
        for task in sorted(unknown)
        if all(task in (worker.unknown_tasks or []) for worker in glance.live)
    ]
    cure = _("Deploy the task to the workers, or correct the path.")
    return [
        Notice(_("No live worker can import %s; its jobs wait.") % task, cure)
        for task in known_to_nobody[:5]
    ]


def _lost(glance: Any) -> list[Notice]:
    found = []
    for worker in glance.workers:
        ended = worker.ended_at
        ago = (glance.now - ended).total_seconds() if ended else LATELY
        if worker.was_lost and ago < LATELY:
            text = _("Worker %(name)s (process %(pid)d) was lost %(time)s ago.") % {
                "name": worker.name,
                "pid": worker.pid,
                "time": texts.plain_duration(ago),
            }
            cure = _("Others have its jobs. Look at its host: memory, network, power.")
            found.append(Notice(text, cure))
    return found[:5]


def _deaf(glance: Any) -> list[Notice]:
    # One that has just started has not heard itself yet.
    deaf = [
        worker
        for worker in glance.live
        if worker.is_listening is False
        and (glance.now - worker.started_at).total_seconds() > DEAF_AFTER
    ]
    if not deaf:
        return []
    text = ngettext(
        "No news of jobs reaches %(workers)s worker (%(name)s); it polls instead.",
        "No news of jobs reaches %(workers)s workers (%(name)s, …); they poll instead.",
        len(deaf),
    ) % {"workers": len(deaf), "name": deaf[0].name}
    cure = _(
        "Its connection to LISTEN fails, or a pooler swallows it: connect without the "
        "pooler, or say that there is none:"
    )
    return [Notice(text, cure, 'DBQUEUE = {"NOTIFY": False}')]


def _paused(glance: Any) -> list[Notice]:
    found = []
    for queue in glance.queues:
        if queue.pause is not None and queue.waiting:
            ago = (glance.now - queue.pause.paused_at).total_seconds()
            text = _("%(queue)s has been paused for %(time)s, and %(jobs)s wait.") % {
                "queue": queue.name,
                "time": texts.plain_duration(ago),
                "jobs": queue.waiting,
            }
            found.append(Notice(text, _("Resume it below when its cause is over.")))
    return found


def _slow_facts(alias: str) -> list[Notice]:
    """Return what was found lately; one of the looks is taken again if it is due."""
    found = _health.setdefault(alias, {})
    now = time.monotonic()
    due = [look for look in _LOOKS if found.get(look, (0.0,))[0] <= now]
    for look in sorted(due, key=lambda look: found.get(look, (0.0,))[0])[:1]:
        found[look] = now + HEALTH_INTERVAL, look(alias)
    return [warning for _, warnings in found.values() for warning in warnings]


def _pins(alias: str) -> list[Notice]:
    found = []
    for pin in dialects.of(alias).pins(PINNED_AFTER):
        text = _(
            "Vacuum cannot clean up behind the queue: process %(pid)s (%(who)s) holds "
            "a transaction open for %(time)s."
        ) % {"pid": pin.pid, "who": pin.who, "time": texts.plain_duration(pin.seconds)}
        command = f"SELECT pg_terminate_backend({pin.pid});"
        found.append(Notice(text, _("End it, if it is not a backup:"), command))
    return found


def _pruning(alias: str) -> list[Notice]:
    settings, history = conf.current(), FinishedJob.objects.using(alias)
    kept = {
        JobState.SUCCESSFUL: settings.keep_successful,
        JobState.FAILED: settings.keep_failed,
        JobState.CANCELLED: settings.keep_failed,
    }
    late = [
        history.expired(state, seconds + LATE_PRUNING).order_by().values_list("pk")
        for state, seconds in kept.items()
        if seconds is not None
    ]
    # In one question, and each part of it by the index.
    if not late or not list(late[0].union(*late[1:], all=True)[:1]):
        return []
    text = _("The history grows faster than it is pruned.")
    cure = _("Keep less (KEEP_SUCCESSFUL, KEEP_FAILED), or prune by hand:")
    return [Notice(text, cure, "manage.py prunejobs")]


_LOOKS = (_pruning, _pins)
