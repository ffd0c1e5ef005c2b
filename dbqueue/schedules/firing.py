"""A keeper's share in schedules: what is due is fired, once, whoever else tries."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections
from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import as_kept
from dbqueue.exceptions import TaskNotFound
from dbqueue.jobs import moves, wakeup
from dbqueue.models import Job
from dbqueue.schedules import calls
from dbqueue.schedules.models import Schedule, ScheduleQuerySet
from dbqueue.schedules.statements import MOVE
from dbqueue.schedules.times import plan

logger = logging.getLogger(__name__)

# Schedules in one commit.
BATCH = 500
# Seconds until rows are tried again that somebody else had locked.
LOCKED = 0.05
# Tasks that this process cannot import, and whose schedules it leaves to others.
unknown: set[str] = set()
# Looks at a row that nobody moves, until it counts as damaged; and how many there were.
TRIES = 3
_stuck: Counter[tuple[UUID, datetime | None]] = Counter()
FAR = 9999  # the year of what cannot be read


@dataclass(slots=True)
class _Change:
    """A schedule that is due, what becomes of its row, and its jobs."""

    row: Schedule
    step: plan.Step
    jobs: list[NewJob] = field(default_factory=list)
    problem: str = ""

    def fail(self, error: Exception) -> None:
        """Leave out what is due, and say why; the next tick is another try."""
        self.jobs, self.problem = [], f"{type(error).__name__}: {error}"[:1000]
        self.step = plan.next_try(self.row, self.step)

    def moved(self, text: Callable[[datetime | None], str | None]) -> dict[str, Any]:
        """Return the row as MOVE takes it; `text` writes a moment."""
        row, step = self.row, self.step
        last = step.fired[-1] if step.fired else plan.aware(row.last_run_at)
        job_id = self.jobs[-1].id if self.jobs else row.last_job_id
        return {
            "id": row.pk.hex,
            "was": text(row.next_run_at),
            "waited_for": text(row.waiting_for),
            "next_run_at": text(step.next_run_at),
            "due_at": text(step.due_at),
            "waiting_for": text(step.waiting_for),
            "last_run_at": text(last),
            "last_job_id": None if job_id is None else job_id.hex,
            "fired": len(self.jobs),
            "recent": self._recent(),
            "problem": self.problem,
        }

    def _recent(self) -> list[Any]:
        fired = zip(self.step.fired, (job.id.hex for job in self.jobs), strict=False)
        entries = [plan.entry(tick, id, "fired") for tick, id in fired]
        entries += [plan.entry(tick, None, "skipped") for tick in self.step.skipped]
        entries.sort(key=lambda item: item["tick"], reverse=True)
        return plan.remembered(self.row, entries)


def fire_due(alias: str) -> float | None:
    """Fire what is due; return the seconds until something else is, if that is known.

    It may be done by any number of keepers at once: the row of a schedule is moved by
    compare-and-swap, in the commit that inserts the jobs of its ticks.
    """
    seconds = _seconds_left(alias)
    if seconds is None or seconds > 0.0:
        return seconds
    now, rows = _due(alias)
    moved = _fire(alias, rows, now)
    if len(rows) == BATCH and moved:
        return 0.0
    seconds = _seconds_left(alias)
    return seconds if seconds is None or moved else max(seconds, LOCKED)


def _fire(alias: str, rows: Sequence[Schedule], now: datetime) -> int:
    """Fire the schedules, and return how many rows were moved."""
    busy = _unfinished(alias, rows)
    changes = [
        change for row in rows if (change := _change(row, now, busy)) is not None
    ]
    if not changes:
        return 0
    try:
        moved, news = _commit(alias, changes)
    except Exception as error:
        if not dialects.of(alias).refuses(error):
            raise
        moved, news = _commit_each(alias, changes)
    for name in news:
        wakeup.announce(alias, name)
    for change in changes:
        if change.row.pk in moved:
            _tell(change)
        else:
            _heal(alias, change.row)
    return len(moved)


def _seconds_left(alias: str) -> float | None:
    """Return the seconds until the next is due; None if there is none."""
    first = _known(alias).order_by("due_at")
    for pk, due_at, now in first.values_list("pk", "due_at", _clock(alias))[:1]:
        if due_at.year == FAR:
            _plan_anew(alias, pk)
            return 0.0
        return max(0.0, float((due_at - now).total_seconds()))
    return None


def _due(alias: str) -> tuple[datetime, list[Schedule]]:
    rows = _known(alias).annotate(seen_at=_clock(alias)).due(_clock(alias))[:BATCH]
    found: list[Any] = list(rows)
    now = plan.aware(found[0].seen_at) if found else None
    return now or timezone.now(), found


def _known(alias: str) -> ScheduleQuerySet:
    rows = Schedule.objects.using(alias).filter(due_at__isnull=False)
    return rows.exclude(task__in=unknown) if unknown else rows


def _clock(alias: str) -> Any:
    return dialects.of(alias).clock()


def _unfinished(alias: str, rows: Iterable[Schedule]) -> set[UUID]:
    """Return which of the last jobs have not ended, of schedules that ask for it."""
    last = [row.last_job_id for row in rows if row.last_job_id and plan.asks(row)]
    if not last:
        return set()
    jobs = Job.objects.using(alias).filter(pk__in=last)
    return set(jobs.values_list("pk", flat=True))


def _change(row: Schedule, now: datetime, busy: Collection[UUID]) -> _Change | None:
    """Return what becomes of the schedule; None if it is left to other keepers."""
    change = _Change(row, plan.Step())
    try:
        change.step = plan.step(row, now, busy=row.last_job_id in busy)
        previous = plan.aware(row.last_run_at)
        for tick in change.step.fired:
            change.jobs.append(calls.job_of(row, tick, previous))
            previous = tick
    except TaskNotFound as error:
        unknown.add(row.task)
        logger.warning("Schedule %r is left to other workers: %s", row.name, error)
        return None
    except Exception as error:  # whatever is wrong with it, the others are fired
        change.fail(error)
    return change


def _commit(alias: str, changes: Sequence[_Change]) -> tuple[set[UUID], set[str]]:
    """Move the rows and insert their jobs.

    Return the ids of the rows that were moved, and what is to be announced.
    """
    dialect = dialects.of(alias)
    with dialect.one_commit():
        moved = _move(alias, changes)
        mine = [change for change in changes if change.row.pk in moved]
        for change in mine:
            if change.step.cancels and change.row.last_job_id:
                moves.cancel(alias, [change.row.last_job_id])
        news = _insert(dialect, [job for change in mine for job in change.jobs])
    return moved, news


def _insert(dialect: dialects.Dialect, jobs: Sequence[NewJob]) -> set[str]:
    """Insert due jobs, and return what is to be announced of them."""
    plain = [job for job in jobs if not job.more]
    if plain:
        dialect.insert_each(plain)
    news = {job.queue_name for job in plain}
    for job in jobs:
        if job.more and (written := dialect.insert(job, once=True)) is not None:
            news |= {*wakeup.news(job, written)}
    return news


def _commit_each(alias: str, changes: Sequence[_Change]) -> tuple[set[UUID], set[str]]:
    """Commit one by one what the database refuses together."""
    moved, news = set[UUID](), set[str]()
    for change in changes:
        try:
            some, told = _commit(alias, [change])
        except Exception as error:
            if not dialects.of(alias).refuses(error):
                raise
            change.fail(error)
            some, told = _commit(alias, [change])
        moved, news = moved | some, news | told
    return moved, news


def _move(alias: str, changes: Sequence[_Change]) -> set[UUID]:
    adapt = connections[alias].ops.adapt_datetimefield_value

    def text(moment: datetime | None) -> str | None:
        return None if moment is None else str(adapt(as_kept(moment)))

    rows = json.dumps([change.moved(text) for change in changes])
    dialect = dialects.of(alias)
    found = dialect.ask(MOVE[dialect.name], {"rows": rows})
    return {id if isinstance(id, UUID) else UUID(id) for (id,) in found}


def _heal(alias: str, row: Schedule) -> None:
    """Plan a row anew that is no other keeper's, and yet is not moved.

    Somebody has written its moments by hand, otherwise than we do.
    """
    key = row.pk, row.next_run_at
    _stuck[key] += 1
    if _stuck[key] > TRIES:
        del _stuck[key]
        _plan_anew(alias, row.pk)


def _plan_anew(alias: str, pk: UUID) -> None:
    logger.warning("The schedule with the id %s is planned anew: it was damaged", pk)
    rows = Schedule.objects.using(alias).filter(pk=pk)
    rows.update(next_run_at=None, waiting_for=None, due_at=_clock(alias))


def _tell(change: _Change) -> None:
    row, step = change.row, change.step
    if change.problem:
        if change.problem != row.problem:
            logger.error("Schedule %r cannot be fired: %s", row.name, change.problem)
        return
    for tick in step.skipped:
        logger.info("Schedule %r skipped the tick of %s: it runs", row.name, tick)
    for job in change.jobs:
        logger.debug("Schedule %r fired job id=%s", row.name, job.id)
