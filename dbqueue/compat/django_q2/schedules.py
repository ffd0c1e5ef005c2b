"""A schedule as django-q2 has it, as a Schedule of dbqueue's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from dbqueue.compat.django_q2 import calls
from dbqueue.compat.django_q2.cadences import ONCE, times_of
from dbqueue.ids import uuid7
from dbqueue.jobs.moves.choosing import storing_backend
from dbqueue.schedules import values
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import plan


@dataclass(slots=True)
class Given:
    """What django-q2 says of a schedule."""

    func: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    kind: str
    # None: as its line says, of a cron.
    next_run: datetime | None
    name: str | None = None
    hook: str | None = None
    minutes: int | None = None
    repeats: int = -1
    cron: str | None = None
    cluster: str | None = None
    intended_date_kwarg: str | None = None
    catch_up: bool = True
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """The row, and what a person should know of it."""

    row: Schedule
    note: str


def made(given: Given, *, id: UUID | None = None, save: bool = True) -> Made:
    """Make the schedule, which is saved, and return it.

    Its first run is at the moment of `next_run`. Raises InvalidSchedule,
    ScheduleNameTaken, and what enqueue() raises for its call.
    """
    path = calls.path_of(given.func)
    own, options = calls.parted(given.kwargs)
    options = {"cluster": given.cluster, "hook": given.hook} | options
    options["intended_date_kwarg"] = given.intended_date_kwarg
    task, args, kwargs = calls.as_job(path, given.args, own, options)
    zone = given.zone or settings.TIME_ZONE
    first = given.next_run or timezone.now()
    times = times_of(
        given.kind, first, minutes=given.minutes, cron=given.cron, zone=zone
    )
    row = Schedule(
        id=id or uuid7(),
        name=given.name or _name(path),
        task=task.module_path,
        args=args,
        kwargs=kwargs,
        cadence=times.cadence,
        queue_name=options.get("cluster") or "",
        catch_up="all" if given.catch_up and given.kind != ONCE else "last",
        overlap="allow",
        max_runs=given.repeats if given.repeats > 0 and given.kind != ONCE else None,
    )
    alias = storing_backend(task.backend).database
    row._state.db = alias
    row.check_values(alias)
    if save:
        row.save(using=alias, force_insert=True)
        if given.next_run is not None:
            _begin_at(row, given.next_run)
    return Made(row, times.note)


def _begin_at(row: Schedule, moment: datetime) -> None:
    """Let the first tick be at the moment, also if that is past."""
    row.next_run_at = moment
    row.due_at = moment + plan.spread(row)
    row.keep_plan()
    row.save(update_fields=["next_run_at", "due_at"])


def _name(path: str) -> str:
    """Return a name that no other schedule of the path has."""
    moment = timezone.now() - datetime(
        2020, 1, 1, tzinfo=timezone.get_default_timezone()
    )
    return f"{path} {moment // timedelta(microseconds=1):x}"[: values.NAME_LENGTH]
