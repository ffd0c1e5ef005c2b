"""The schedules of django_celery_beat as schedules of dbqueue."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from dbqueue.compat.celery.app import making, periodic
from dbqueue.compat.celery.move import tables
from dbqueue.compat.celery.schedules import crontab
from dbqueue.compat.moving.tables import is_there
from dbqueue.models import Schedule
from dbqueue.schedules.times.base import Cadence
from dbqueue.schedules.times.cadence import At, Cron, Every

# What a message of Celery's has beside it, and a schedule has not.
_LOST = ("headers", "exchange", "routing_key")


def brought(source: str, target: str, *, dry: bool) -> Iterator[tuple[str, str]]:
    """Bring the periodic tasks of one database to another; yield names and answers.

    One whose name is taken stays as it is, and so does one that the code declares: beat
    had copied that here. With `dry` nothing is written.
    """
    if not is_there(tables.PeriodicTask, source):
        return
    known = set(Schedule.objects.using(target).values_list("name", flat=True))
    in_code = periodic.names()
    rows = tables.PeriodicTask._default_manager.using(source).order_by("pk")
    for row in rows.select_related("interval", "crontab", "clocked"):
        if row.task == periodic.CLEANUP:
            yield row.name, "left out: workers prune what is old by themselves"
        elif row.name in in_code:
            off = "" if row.enabled else "; it was off: manage.py schedules disable it"
            yield row.name, f"left out: the code declares it{off}"
        elif row.name in known:
            yield row.name, "left out: there is a schedule of this name"
        else:
            yield row.name, _brought(row, target, dry=dry)


def _brought(row: Any, target: str, *, dry: bool) -> str:
    try:
        made = _schedule(row)
        made.check_values(target)
        if not dry:
            made.save(using=target)
    # Of another's table, and of modules that are imported: anything may come.
    except Exception as error:
        return f"not imported: {type(error).__name__}: {error}"
    off = "" if made.enabled else ", switched off"
    lost = [name for name in _LOST if getattr(row, name) not in (None, "", "{}")]
    without = f", without its {', '.join(lost)}" if lost else ""
    return f"{made.words()}{off}{without}"


def _schedule(row: Any) -> Schedule:
    ended = row.one_off and row.total_run_count > 0
    task = making.find(row.task)
    args, kwargs = json.loads(row.args or "[]"), json.loads(row.kwargs or "{}")
    task.check_arguments(args, kwargs)
    return Schedule(
        name=row.name,
        description=row.description or "",
        task=task.job.module_path,
        args=args,
        kwargs=kwargs,
        cadence=_cadence(row),
        queue_name=row.queue or "",
        # In Celery's brokers, 0 to 9 or 255; here it says which is first.
        priority=row.priority,
        enabled=row.enabled and not ended,
        starts_at=_aware(row.start_time),
        ends_at=_aware(row.expires),
        max_runs=1 if row.one_off else None,
        expires=row.expire_seconds or None,
        overlap="allow",
    )


def _cadence(row: Any) -> Cadence:
    if row.interval is not None:
        return Every(timedelta(**{row.interval.period: row.interval.every}))
    if row.crontab is not None:
        given = row.crontab
        line = crontab(
            given.minute,
            given.hour,
            given.day_of_week,
            given.day_of_month,
            given.month_of_year,
        ).line()
        return Cron(line, timezone=given.timezone or "UTC", both_days=True)
    if row.clocked is not None:
        moment = _aware(row.clocked.clocked_time)
        assert moment is not None
        return At(moment)
    raise NotImplementedError("dbqueue knows no sunrise: use a crontab near it")


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None or timezone.is_aware(moment):
        return moment
    return moment.replace(tzinfo=UTC)
