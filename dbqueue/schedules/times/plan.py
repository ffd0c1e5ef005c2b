"""Which ticks of a schedule are due, and what becomes of them. It asks no database."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, overload

from django.utils import timezone

from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.base import Cadence

# Seconds; later than this, a tick counts as missed.
GRACE = 60.0
# Seconds between looks whether the run before a waiting tick has ended.
RECHECK = 1.0
# Seconds between looks at a row that cannot be planned.
RETRY = 300.0
# Ticks of one schedule that are fired in one commit.
PORTION = 100
# Ticks that a row remembers.
RECENT = 10
_MICROSECOND = timedelta(microseconds=1)

# What the planning writes.
PLANNED = ("next_run_at", "due_at", "waiting_for", "problem")
# What keepers write, as it is fired.
KEPT = (*PLANNED, "last_run_at", "last_job_id", "runs", "recent")


@dataclass(slots=True)
class Step:
    """What is to be done with a schedule that is due, and how it goes on."""

    fired: list[datetime] = field(default_factory=list)  # each of them is a job
    skipped: list[datetime] = field(default_factory=list)
    cancels: bool = False  # whether the run before is to be cancelled
    next_run_at: datetime | None = None
    due_at: datetime | None = None
    waiting_for: datetime | None = None


def step(row: Any, now: datetime, *, busy: bool) -> Step:
    """Return what is to be done with the schedule by now.

    `busy` says whether its last job is unfinished. Raises InvalidSchedule for a row
    that is damaged.
    """
    made = Step()
    times = cadence.read(row.cadence)
    ticks, then = _due(row, times, now)
    waiting = aware(row.waiting_for)
    if waiting is not None and not busy:
        ticks, waiting = [waiting, *ticks], None
    for tick in _allowed(row, ticks):
        if not busy or _policy(row) in ("allow", "cancel_running"):
            made.cancels |= busy and _policy(row) == "cancel_running"
            made.fired.append(tick)
            busy = busy or _policy(row) != "allow"
        elif _policy(row) == "queue_one":
            made.skipped += [waiting] if waiting else []
            waiting = tick
        else:
            made.skipped.append(tick)
    if row.max_runs is not None and row.runs + len(made.fired) >= row.max_runs:
        then = waiting = None
    made.next_run_at, made.waiting_for = then, waiting
    moments = [] if then is None else [then + spread(row)]
    moments += [] if waiting is None else [now + timedelta(seconds=RECHECK)]
    made.due_at = min(moments, default=None)
    return made


def next_try(row: Any, failed: Step | None, now: datetime) -> Step:
    """Return the step of a schedule whose jobs cannot be made: they are left out.

    `failed` is what was to be done; None where that cannot be told, as the row is
    damaged, or names a time zone that this host does not know. It is looked at again.
    """
    if failed is None:
        tick, waiting = aware(row.next_run_at), aware(row.waiting_for)
        later = now + timedelta(seconds=RETRY)
        return Step(next_run_at=tick, due_at=later, waiting_for=waiting)
    made = Step(next_run_at=failed.next_run_at)
    if made.next_run_at is not None:
        made.due_at = made.next_run_at + spread(row)
    return made


def asks(row: Any) -> bool:
    """Tell whether the schedule asks if its last run has ended."""
    return row.waiting_for is not None or _policy(row) != "allow"


def anew(row: Any, now: datetime) -> None:
    """Plan the next run of a schedule that is new, or whose times have changed."""
    tick = _first(row, cadence.read(row.cadence), now)
    row.next_run_at, row.waiting_for, row.problem = tick, None, ""
    row.due_at = None if tick is None else tick + spread(row)


def next_ticks(row: Any, count: int) -> list[datetime]:
    """Return the next ticks, `count` at most; none if it is disabled or at its end."""
    tick, found = aware(row.next_run_at), list[datetime]()
    if not isinstance(row.cadence, Cadence) or not _is_active(row):
        return found
    left = count if row.max_runs is None else min(count, row.max_runs - row.runs)
    while tick is not None and len(found) < left:
        found.append(tick)
        tick = _following(row, row.cadence, tick)
    return found


def entry(tick: datetime, job: str | None, done: str) -> dict[str, Any]:
    """Return what a row remembers of a tick: `done` is fired, skipped or manual."""
    return {"tick": tick.isoformat(), "job": job, "done": done}


def remembered(row: Any, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the row remembers once these have come, the last first."""
    before = row.recent if isinstance(row.recent, list) else []
    return [*entries, *before][:RECENT]


def spread(row: Any) -> timedelta:
    """Return by how much all ticks of the schedule are later, for its jitter."""
    digest = hashlib.sha256(row.pk.bytes).digest()
    share = int.from_bytes(digest[:4]) / 2**32
    return timedelta(seconds=row.jitter * share)  # of a damaged row it may be a text


@overload
def aware(moment: datetime) -> datetime: ...


@overload
def aware(moment: None) -> None: ...


@overload
def aware(moment: datetime | None) -> datetime | None: ...


def aware(moment: datetime | None) -> datetime | None:
    """Return the moment of a row, which is naive without USE_TZ."""
    if moment is None or timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment)


def some(row: Any, names: Collection[str]) -> tuple[Any, ...]:
    """Return the values of the names, as far as they were read."""
    return tuple(vars(row).get(name) for name in names)


def kept(row: Any) -> dict[str, Any]:
    """Return whose row it is, and what keepers have written there, as it was read."""
    return {name: vars(row).get(name) for name in ("id", *KEPT)}


def latest(
    times: Cadence, after: datetime, until: datetime, count: int
) -> list[datetime]:
    """Return the last ticks after one moment, and until another, `count` at most."""
    # From a moment that is not long ago, as there may be millions before it.
    length = timedelta(seconds=count)
    while True:
        start = max(after, until - length)
        found, moment = list[datetime](), times.after(start)
        while moment is not None and moment <= until:
            found.append(moment)
            moment = times.after(moment)
        if len(found) >= count or start == after:
            return found[-count:]
        length *= 8


def _due(
    row: Any, times: Cadence, now: datetime
) -> tuple[list[datetime], datetime | None]:
    """Return the ticks to be fired by now, and the one after them."""
    tick = aware(row.next_run_at)
    if not _is_active(row):
        return [], None
    if tick is None:
        return [], None if row.waiting_for else _first(row, times, now)
    edge = now - spread(row)
    if tick > edge:
        return [], tick
    ticks, then = [tick], _following(row, times, tick)
    if then is not None and then <= edge:
        until = min(edge, aware(row.ends_at) or edge)
        most = row.catch_up_limit if row.catch_up == "all" else 1
        ticks = latest(times, tick - _MICROSECOND, until, most)
        then = _following(row, times, ticks[-1])
        if len(ticks) > PORTION:
            ticks, then = ticks[:PORTION], ticks[PORTION]
    if row.catch_up == "none" and (edge - ticks[-1]).total_seconds() > GRACE:
        ticks = []
    return ticks, then


def _allowed(row: Any, ticks: list[datetime]) -> Collection[datetime]:
    return ticks if row.max_runs is None else ticks[: max(0, row.max_runs - row.runs)]


def _first(row: Any, times: Cadence, now: datetime) -> datetime | None:
    """Return the first tick after now."""
    if not _is_active(row):
        return None
    start = aware(row.starts_at)
    return _bounded(
        row, times.after(now if start is None else max(now, start - _MICROSECOND))
    )


def _following(row: Any, times: Cadence, tick: datetime) -> datetime | None:
    return _bounded(row, times.after(tick))


def _bounded(row: Any, tick: datetime | None) -> datetime | None:
    end = aware(row.ends_at)
    return None if tick is None or (end is not None and tick > end) else tick


def _is_active(row: Any) -> bool:
    at_end = row.max_runs is not None and row.runs >= row.max_runs
    return row.enabled and row.retired_at is None and not at_end


def _policy(row: Any) -> str:
    return row.overlap or ("allow" if row.catch_up == "all" else "skip")
