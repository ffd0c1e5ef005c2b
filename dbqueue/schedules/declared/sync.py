"""Writes to the database what code and settings declare, and keeps it alive there.

What an operator has changed stays: a value that differs from what was declared before
is theirs. A schedule that no live worker declares any more is retired, not deleted.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from dbqueue import dialects
from dbqueue.schedules import calls, store, values
from dbqueue.schedules.declared import declarations
from dbqueue.schedules.declared.declarations import Declaration
from dbqueue.schedules.exceptions import InvalidSchedule, ScheduleNameTaken
from dbqueue.schedules.models import Origin, Schedule, ScheduleQuerySet
from dbqueue.schedules.times import plan

logger = logging.getLogger(__name__)

# Seconds without a declaration after which a schedule is retired.
RETIRE = 3600.0
# Seconds between two declarations of a live worker.
REFRESH = 300.0
# Seconds without one after which another's declaration takes its place.
ABANDONED = 3 * REFRESH
_PART = 500  # names in one statement


@dataclass(slots=True)
class Report:
    """What a synchronisation has done, by the names of the schedules."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    wrong: list[InvalidSchedule] = field(default_factory=list)


def sync(alias: str, *, at_once: bool = False) -> Report:
    """Write the declared schedules whose jobs are in this database.

    `at_once` retires what these settings have declared before, and do not any more.
    What is wrong with one is in the report, and keeps no other from being written.
    """
    report = Report()
    declared = {made.name: made for made in _declared(alias, report)}
    names = sorted(declared)
    for first in range(0, len(names), _PART):
        part = {name: declared[name] for name in names[first : first + _PART]}
        _create(alias, part, report)
        with dialects.of(alias).one_commit():
            _write(alias, part, report)
    if at_once:
        gone = _declared_rows(alias).filter(declared_by=_settings())
        report.retired = _retire(gone.exclude(name__in=names), store.now(alias))
    for error in report.wrong:
        logger.error("%s", error)
    return report


def refresh(alias: str) -> None:
    """Say that what is declared here is alive, and write it where that is due.

    Old and new code may run side by side, and what was written last stays as long as
    anybody declares it; but no longer, or the last old worker that had started would
    have the last word.
    """
    declared = {made.name: made for made in declarations.everything()[0]}
    names, now = sorted(declared), store.now(alias)
    old = now - timedelta(seconds=REFRESH)
    mine = _declared_rows(alias).filter(declared_by=_settings(), retired_at=None)
    for first in range(0, len(names), _PART):
        part = mine.filter(name__in=names[first : first + _PART], declared_at__lt=old)
        same, other = [], {}
        for row in part:
            if row.declared == values.plain(declared[row.name]):
                same.append(row.pk)
            elif plan.aware(row.declared_at) < now - timedelta(seconds=ABANDONED):
                other[row.name] = declared[row.name]
        mine.filter(pk__in=same).update(declared_at=now)
        if other:
            _write_right(alias, other)


def _write_right(alias: str, part: dict[str, Declaration]) -> None:
    """Write those that are right; a start has told of the others."""
    right = {}
    for name, made in part.items():
        with suppress(InvalidSchedule):
            if calls.check(made).database == alias:
                right[name] = made
    report = Report()
    with dialects.of(alias).one_commit():
        _write(alias, right, report)
    for name in report.changed:
        logger.info("Schedule %r is declared otherwise by now, and was changed", name)


def retire_forgotten(alias: str) -> None:
    """Retire what no live worker has declared for an hour."""
    now = store.now(alias)
    limit = now - timedelta(seconds=RETIRE)
    for name in _retire(_declared_rows(alias).filter(declared_at__lt=limit), now):
        logger.warning("Schedule %r is retired: no worker declares it any more", name)


def reset(row: Schedule) -> None:
    """Give a schedule the values that are declared, and save it."""
    for name in values.differing(row):
        setattr(row, name, _read(name, row.declared[name]))
    row.save()


def _declared(alias: str, report: Report) -> Iterable[Declaration]:
    declared, wrong = declarations.everything()
    report.wrong += wrong
    for made in declared:
        try:
            if calls.check(made).database == alias:
                yield made
        except InvalidSchedule as error:
            report.wrong.append(error)


def _create(alias: str, part: Mapping[str, Declaration], report: Report) -> None:
    rows = Schedule.objects.using(alias)
    known = set(rows.filter(name__in=part).values_list("name", flat=True))
    new = [part[name] for name in sorted(part.keys() - known)]
    if new:
        now = store.now(alias)
        # Another worker may start now, too: in order, or both wait for each other.
        made = rows.bulk_create([_new(m, now) for m in new], ignore_conflicts=True)
        report.created += [row.name for row in made]


def _write(alias: str, part: Mapping[str, Declaration], report: Report) -> None:
    now, mine = store.now(alias), _settings()
    rows = Schedule.objects.using(alias).filter(name__in=part)
    same = []
    for row in rows.select_for_update().order_by("pk"):
        made = part[row.name]
        if _is_of_others(row, made, now):
            report.wrong.append(_taken(row))
        elif row.declared == values.plain(made) and _is_as_before(row, made):
            same.append(row.pk)
        else:
            _merge(row, made, now, report)
    rows.filter(pk__in=same).update(declared_at=now, declared_by=mine)


def _new(made: Declaration, now: datetime) -> Schedule:
    written = {name: getattr(made, name) for name in values.FIELDS}
    return Schedule(name=made.name, **written, **_marks(made, now))


def _merge(row: Schedule, made: Declaration, now: datetime, report: Report) -> None:
    before = row.declared if isinstance(row.declared, dict) else {}
    own = set(values.differing(row))
    if row.retired_at is None:
        report.changed.append(row.name)
    else:
        report.revived.append(row.name)
        _revive(row, now)
    for name in values.FIELDS:
        if name not in own or name not in before:
            setattr(row, name, getattr(made, name))
    for name, value in _marks(made, now).items():
        setattr(row, name, value)
    row.save()


def _revive(row: Schedule, now: datetime) -> None:
    was = plan.aware(row.retired_at) or now
    row.retired_at = None
    # Another service started first after a long outage: what was missed is caught up.
    tick = plan.aware(row.next_run_at)
    if tick is not None and now - was < timedelta(seconds=RETIRE):
        row.due_at = tick + plan.spread(row)
        row.keep_plan()


def _marks(made: Declaration, now: datetime) -> dict[str, Any]:
    return {
        "origin": made.origin,
        "declared": values.plain(made),
        "declared_by": _settings(),
        "declared_at": now,
    }


def _is_of_others(row: Schedule, made: Declaration, now: datetime) -> bool:
    """Tell whether the name is that of a schedule which is declared elsewhere."""
    if row.origin == Origin.DATABASE:
        return True
    if row.declared_by in ("", _settings()) or row.retired_at is not None:
        return False
    last = plan.aware(row.declared_at)
    alive = last is not None and now - last < timedelta(seconds=RETIRE)
    return alive and row.declared != values.plain(made)


def _is_as_before(row: Schedule, made: Declaration) -> bool:
    return row.retired_at is None and row.origin == made.origin


def _taken(row: Schedule) -> ScheduleNameTaken:
    where = "in the database" if row.origin == Origin.DATABASE else row.declared_by
    return ScheduleNameTaken(
        f"Schedule {row.name!r} is not written: there is one of that name that was "
        f"made {where}. Give one of them another name."
    )


def _declared_rows(alias: str) -> ScheduleQuerySet:
    return Schedule.objects.using(alias).exclude(origin=Origin.DATABASE)


def _retire(rows: ScheduleQuerySet, now: datetime) -> list[str]:
    found = dict(rows.filter(retired_at=None).values_list("pk", "name"))
    # Where it is stays, should it come back soon.
    rows.filter(pk__in=found, retired_at=None).update(
        retired_at=now, due_at=None, waiting_for=None
    )
    return sorted(found.values())


def _read(name: str, value: Any) -> Any:
    if name in ("starts_at", "ends_at") and value is not None:
        return datetime.fromisoformat(value)
    return value


def _settings() -> str:
    return str(getattr(settings, "SETTINGS_MODULE", None) or "")[:255]
