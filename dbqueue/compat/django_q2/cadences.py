"""When a schedule of django-q2 recurs, as dbqueue says it. It knows no database."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times.base import Cadence
from dbqueue.schedules.times.cadence import EPOCH, At, Cron, Every

ONCE, CRON = "O", "C"
_INTERVALS = {"I": timedelta(minutes=1), "H": timedelta(hours=1)}
# Months between two runs.
_MONTHS = {"M": 1, "BM": 2, "Q": 3, "Y": 12}
TYPES = (ONCE, *_INTERVALS, "D", "W", "BW", *_MONTHS, CRON)
# A day that not every month has.
_LATE = 29


@dataclass(frozen=True, slots=True)
class Times:
    """A cadence, and what a person should know who had the other one."""

    cadence: Cadence
    note: str = ""


def times_of(
    kind: str, next_run: datetime, *, minutes: int | None, cron: str | None, zone: str
) -> Times:
    """Return when a schedule of the type recurs whose next run is at a moment.

    `zone` is the name of the time zone whose clock counts. Raises InvalidSchedule.
    """
    local = next_run.astimezone(ZoneInfo(zone))
    clock = f"{local.minute} {local.hour}"
    if local.second:
        clock = f"{local.second} {clock}"
    if kind == ONCE:
        return Times(At(next_run))
    if kind == CRON:
        return Times(Cron(_line(cron or ""), timezone=zone))
    if kind in _INTERVALS:
        count = (minutes or 1) if kind == "I" else 1
        return Times(_every(_INTERVALS[kind] * count, next_run))
    if kind == "D":
        return Times(Cron(f"{clock} * * *", timezone=zone))
    if kind == "W":
        return Times(Cron(f"{clock} * * {local.isoweekday()}", timezone=zone))
    if kind == "BW":
        note = "" if _is_steady(zone) else "its hour moves with summer time"
        return Times(_every(timedelta(weeks=2), next_run), note)
    if kind in _MONTHS:
        return _monthly(_MONTHS[kind], local, clock, zone)
    raise InvalidSchedule(f"{kind!r} is no type of schedule that django-q2 has.")


def _monthly(step: int, local: datetime, clock: str, zone: str) -> Times:
    months = [str(n) for n in range(1, 13) if (n - local.month) % step == 0]
    day, note = str(local.day), ""
    if step != 12 and local.day >= _LATE:
        day, note = "L", "on the last day of the month"
    elif (local.month, local.day) == (2, _LATE):
        day, note = "L", "on the last day of February"
    listed = "*" if step == 1 else ",".join(months)
    return Times(Cron(f"{clock} {day} {listed} *", timezone=zone), note)


def _every(interval: timedelta, next_run: datetime) -> Every:
    return Every(interval, offset=(next_run - EPOCH) % interval)


def _line(given: str) -> str:
    """Return a line with the seconds first, which croniter has last."""
    fields = given.split()
    if len(fields) == 7:
        raise InvalidSchedule(f"Cron({given!r}): a line with years cannot be kept.")
    return " ".join([fields[5], *fields[:5]] if len(fields) == 6 else fields)


def _is_steady(zone: str) -> bool:
    moments = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 4, 7, 10))
    offsets = {moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in moments}
    return len(offsets) == 1
