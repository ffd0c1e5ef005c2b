"""When a keeper looks at schedules, and prepares what it is about to fire.

What is due within a moment is read and made before, as all schedules of a minute are
due at once: what is left to do when they are due is one commit. Of several keepers, the
one that fired the last time does it on time, and the others look a little later whether
it has been done: at once, all of them would wait for each other.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dbqueue import dialects
from dbqueue.jobs import wakeup
from dbqueue.models import Job
from dbqueue.schedules import calls, store
from dbqueue.schedules.firing import commits
from dbqueue.schedules.firing.changes import Change, unknown, unknown_kinds
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import plan

logger = logging.getLogger(__name__)

# Schedules that are prepared at a time, and jobs, more or less: heartbeats wait for the
# commit, and a keeper that dies in the middle of it leaves all of it to the next.
BATCH, MOST = 500, 500
# Seconds before it is due that a schedule is prepared; and after which it is not fired
# as it was prepared: the process was frozen, and more may be due by now.
AHEAD, STALE = 0.5, 1.0
# Seconds after the moment at which a keeper looks that was overtaken the last time; and
# what may be due so much earlier than what was prepared is not looked for.
BEHIND, NEAR = (0.015, 0.03), 0.05
# Seconds until rows are tried again that somebody else had locked.
LOCKED = 0.05
# A clock that is read by another statement may be so far behind.
MARGIN = 0.001
# Looks at a row that nobody moves, until it counts as damaged; and how many there were.
TRIES, MOST_NOTED = 3, 10_000
_stuck: Counter[tuple[UUID, datetime | None]] = Counter()
_UNUSED = ("description", "declared", "declared_by", "declared_at", "created_at")
FAR = 9999  # the year of what cannot be read
# What is to be fired next, by the alias of the database; the first is due first.
_prepared: dict[str, list[Change]] = {}
# Aliases where another keeper was faster the last time.
_overtaken: set[str] = set()


def fire_due(alias: str) -> float | None:
    """Fire what is due; return the seconds until there is something to do, if any.

    It may be done by any number of keepers at once: the row of a schedule is moved by
    compare-and-swap, in the commit that inserts the jobs of its ticks.
    """
    ready = _prepared.pop(alias, [])
    if not ready or not _is_first(alias, ready[0].at - time.monotonic()):
        seconds = _seconds_left(alias)
        if seconds is None or seconds > AHEAD:
            return seconds and seconds - AHEAD
        ready = _prepare(alias)
    now = time.monotonic()
    due = [change for change in ready if change.at <= now]
    later = ready[len(due) :]
    moved = _fire(alias, due) if due else 0
    if due:
        (_overtaken.discard if moved else _overtaken.add)(alias)
    if later:
        _prepared[alias] = later
        return max(0.0, later[0].at - time.monotonic())
    seconds = _seconds_left(alias)
    if seconds is None:
        return None
    return max(0.0 if moved or not due else LOCKED, seconds - AHEAD)


def _is_first(alias: str, left: float) -> bool:
    """Tell whether what was prepared for in so many seconds is still to be done next.

    Another keeper may have fired it, and somebody may have made what is due before it.
    """
    if left < -STALE:
        return False
    if left <= 0.0 and alias not in _overtaken:
        return True
    seconds = _seconds_left(alias)
    if seconds is None:
        return False
    return seconds > left - NEAR if left > 0.0 else seconds <= 0.0


def _seconds_left(alias: str) -> float | None:
    """Return the seconds until the next is due; None if there is none."""
    first = store.first_due(alias, unknown, unknown_kinds)
    if first is None:
        return None
    pk, seconds = first
    if seconds is None:
        _plan_anew(alias, pk)
        return 0.0
    return max(0.0, seconds)


def _prepare(alias: str) -> list[Change]:
    """Return what is due, or will be in a moment, in order; the last run has ended."""
    dialect, write = dialects.of(alias), store.writer(alias)
    clock = dialect.clock()
    soon = Schedule.objects.using(alias).due(clock + timedelta(seconds=AHEAD))
    if unknown:
        soon = soon.exclude(task__in=unknown)
    if unknown_kinds:
        soon = soon.exclude(cadence__has_any_keys=[*unknown_kinds])
    rows: list[Any] = list(soon.defer(*_UNUSED)[:BATCH])
    # Asked by itself: how long many rows take to come would make all of them late.
    now, since = store.now(alias), time.monotonic()
    behind = random.uniform(*BEHIND) if alias in _overtaken else MARGIN
    prepared, jobs = list[Change](), 0
    for row in rows:
        if jobs >= MOST:  # after an outage
            break
        due = plan.aware(row.due_at)
        seconds = (due - now).total_seconds() if due.year < FAR else 0.0
        at = since + seconds + behind if seconds > 0.0 else since
        change = Change(row, at)
        if change.plan(dialect, write, max(now, due), busy=False):
            prepared.append(change)
            jobs += len(change.jobs)
    return prepared


def _fire(alias: str, due: Sequence[Change]) -> int:
    """Fire what was prepared; return how many rows were moved."""
    dialect, write = dialects.of(alias), store.writer(alias)
    if unfinished := _of_unfinished(alias, due):
        now = store.now(alias)
        for change in unfinished:
            change.plan(dialect, write, now, busy=True)
    moved, news = commits.commit(alias, due)
    for name in news:
        wakeup.announce(alias, name)
    for change in due:
        if change.row.pk in moved:
            _tell(change)
            calls.announce(change.row, change.jobs)
        else:
            _note_stuck(alias, change.row)
    return len(moved)


def _of_unfinished(alias: str, due: Iterable[Change]) -> list[Change]:
    """Return those whose last run has not ended, of schedules that ask for it."""
    last = {c.row.last_job_id: c for c in due if c.row.last_job_id and plan.asks(c.row)}
    if not last:
        return []
    jobs = Job.objects.using(alias).filter(pk__in=last)
    return [last[id] for id in jobs.values_list("pk", flat=True)]


def _note_stuck(alias: str, row: Schedule) -> None:
    """Plan a row anew that is no other keeper's, and yet is not moved.

    Somebody has written its moments by hand, otherwise than we do.
    """
    if len(_stuck) > MOST_NOTED:
        _stuck.clear()
    key = row.pk, row.next_run_at
    _stuck[key] += 1
    if _stuck[key] > TRIES:
        del _stuck[key]
        with dialects.of(alias).one_commit():
            if _is_damaged(alias, row.pk):
                _plan_anew(alias, row.pk)


def _is_damaged(alias: str, pk: UUID) -> bool:
    """Tell whether a row that nobody holds has moments that cannot be compared."""
    rows = Schedule.objects.using(alias).filter(pk=pk)
    # Another keeper may be about to move it, or somebody to change it.
    row = rows.select_for_update(skip_locked=True).first()
    if row is None:
        return False
    read = {"next_run_at": row.next_run_at, "waiting_for": row.waiting_for}
    return not rows.filter(**read).exists()


def _plan_anew(alias: str, pk: Any) -> None:
    logger.warning("The schedule with the id %s is planned anew: it was damaged", pk)
    rows = Schedule.objects.using(alias).filter(pk=pk)
    now = dialects.of(alias).clock()
    rows.update(next_run_at=None, waiting_for=None, due_at=now)


def _tell(change: Change) -> None:
    row = change.row
    if change.problem and change.problem != row.problem:
        logger.error("Schedule %r cannot be fired: %s", row.name, change.problem)
    for tick in change.step.skipped:
        logger.info("Schedule %r skips %s: its last run goes on", row.name, tick)
    if logger.isEnabledFor(logging.DEBUG):
        for job in change.jobs:
            logger.debug("Schedule %r has fired job id=%s", row.name, job.id)
