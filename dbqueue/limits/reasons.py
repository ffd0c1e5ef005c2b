"""Why a job with a lane is not running, and who holds the lane, in words."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbqueue.backend import backend_of
from dbqueue.limits import stores
from dbqueue.limits.facts import Facts
from dbqueue.limits.registry import limit_of
from dbqueue.models import Job, JobState, Pause
from dbqueue.tasks import keys

MOST_NAMED = 3  # holders that a sentence names


@dataclass(slots=True)
class LaneStatus:
    """A lane, or a fair group, as its gate sees it now.

    `held_by` are the ids of the jobs that it has let in. `most` is None without a
    limit of concurrency, `next_token` without a rate: seconds until it lets one start.
    """

    key: str
    most: int | None
    held_by: list[str] = field(default_factory=list)
    blocked: int = 0
    next_token: float | None = None
    is_paused: bool = False


def status(name: str, lane: str = "", *, backend: str = "default") -> LaneStatus | None:
    """Return what is known of a lane of a limit: `lane` is its key's value as text.

    None if the database does not know the limit. Of jobs that wait it counts 10,000.
    """
    alias = backend_of(backend).database
    found = stores.of(alias).facts([keys.composed(name, lane)])
    if not found:
        return None
    facts = found[0]
    waiting = Job.objects.using(alias).blocked().filter(lane=facts.key)
    return LaneStatus(
        key=facts.key,
        most=facts.most,
        held_by=[str(UUID(id)) for id in facts.held],
        blocked=waiting[:10_000].count(),
        next_token=next_token(facts),
        is_paused=bool(facts.is_paused),
    )


def of_blocked(job: Job) -> str | None:
    """Say why a job is BLOCKED; None if it is not, or not by a limit."""
    if job.state != JobState.BLOCKED or job.lane is None:
        return None
    alias, gate = str(job._state.db), job.fair_group or job.lane
    known = {f.key: f for f in stores.of(alias).facts([job.lane, gate])}
    if gate not in known:
        return _(
            "No live worker has declared the limit %(limit)s. Start one that knows its "
            "task, or correct the name."
        ) % {"limit": repr(limit_of(gate))}
    for facts in known.values():
        if (why := _paused(alias, facts) or _closed(alias, facts, job)) is not None:
            return why
    if job.fair_group:
        said = _("It waits for its turn in the fair group %(group)s.")
        return said % {"group": repr(job.fair_group)}
    return None  # it is its turn, or no worker is there to let it in


def _paused(alias: str, facts: Facts) -> str | None:
    if not facts.is_paused:
        return None
    names = [f"lane:{facts.key}", f"limit:{limit_of(facts.key)}"]
    pause = Pause.objects.using(alias).filter(pk__in=names).first()
    if pause is None:
        return None  # it was resumed a moment ago
    kind, _sep, name = pause.key.partition(":")
    values = {
        "name": repr(name),
        "by": pause.paused_by,
        "why": f": {pause.reason}" if pause.reason else ".",
    }
    return str(_PAUSED[kind, bool(pause.paused_by)] % values)


# By what is paused, and whether it is known by whom.
_PAUSED: dict[tuple[str, bool], Any] = {
    ("lane", False): gettext_lazy("The lane %(name)s is paused%(why)s"),
    ("lane", True): gettext_lazy("The lane %(name)s is paused by %(by)s%(why)s"),
    ("limit", False): gettext_lazy("The limit %(name)s is paused%(why)s"),
    ("limit", True): gettext_lazy("The limit %(name)s is paused by %(by)s%(why)s"),
}


def _closed(alias: str, facts: Facts, job: Job) -> str | None:
    what = _("Group %(key)s") if facts.is_group else _("Lane %(key)s")
    values: dict[str, Any] = {"what": what % {"key": repr(facts.key)}}
    if facts.head is not None and UUID(facts.head) != job.pk:
        state = JobState(facts.holders[facts.head]).label.lower()
        said = _("%(what)s is in order, and its head %(head)s is %(state)s.")
        return said % {**values, "head": UUID(facts.head), "state": state}
    if facts.most is not None and not facts.is_ordered:
        held = facts.held
        if len(held) >= facts.most:
            names = ", ".join(str(UUID(id)) for id in held[:MOST_NAMED])
            values |= {"count": len(held), "most": facts.most, "names": names}
            values["more"] = len(held) - MOST_NAMED
            if values["more"] > 0:
                return (
                    _(
                        "%(what)s is full: %(count)d of %(most)d, held by %(names)s "
                        "and %(more)d more."
                    )
                    % values
                )
            return (
                _("%(what)s is full: %(count)d of %(most)d, held by %(names)s.")
                % values
            )
    seconds = next_token(facts)
    if seconds:
        said = _("%(what)s has used up its rate; its next token is in %(seconds)s s.")
        return said % {**values, "seconds": f"{seconds:.1f}"}
    return None


def next_token(facts: Facts) -> float | None:
    """Return the seconds until its rate lets a job start; None without a rate."""
    if facts.spent is None or facts.step is None:
        return None
    return max(0.0, facts.spent + facts.step - facts.now)
