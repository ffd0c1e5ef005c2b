"""uWSGI's own kind of cron, which is not that of a crontab."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings

from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times import clocks
from dbqueue.schedules.times.base import Cadence

_DAY = timedelta(days=1)
_LONGEST = 50 * 366  # days that are looked at
# What each field may be, and the days of the longest month.
_RANGES = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}
_RANGES["weekday"] = (0, 6)


@dataclass(frozen=True)
class UwsgiCron(Cadence):
    """The times of `@cron(minute, hour, day, month, weekday)`.

    -1 is any, -N is what N divides: day -2 is 2, 4, … 30. A day and a weekday that are
    both named are either of them. Sunday is 0, or 7. The clock is that of `timezone`,
    by default TIME_ZONE; what daylight saving time does is as for Cron. Raises
    InvalidSchedule for what is no number, or never comes.
    """

    kind = "uwsgi"

    minute: int
    hour: int
    day: int
    month: int
    weekday: int
    timezone: str = ""

    def __post_init__(self) -> None:
        for name in _RANGES:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidSchedule(f"@cron: {name} is {value!r}; it is a number.")
        object.__setattr__(self, "weekday", 0 if self.weekday == 7 else self.weekday)
        zone = self.timezone or settings.TIME_ZONE
        clocks.zone(zone)
        object.__setattr__(self, "timezone", zone)
        if next(self._times(datetime(2026, 1, 1)), None) is None:
            raise InvalidSchedule(f"@cron{self._given()}: no time matches it.")

    def after(self, moment: datetime) -> datetime | None:
        """See Cadence.after()."""
        is_fixed = self.minute >= 0 and self.hour >= 0
        find = clocks.fixed if is_fixed else clocks.running
        zone = clocks.zone(self.timezone)
        try:
            return find(self._times, zone, moment.astimezone(UTC))
        except OverflowError:
            return None

    def words(self) -> str:
        """Return it as it is written, with the names of the fields."""
        said = [
            f"{name} {'divided by ' if value < 0 else ''}{abs(value)}"
            for name in _RANGES
            if (value := getattr(self, name)) != -1
        ]
        both = self.day >= 0 and self.weekday >= 0
        how = " (the day or the weekday)" if both else ""
        return f"uWSGI's cron: {', '.join(said) or 'each minute'}{how}"

    def __str__(self) -> str:
        return f"{self.words()} ({self.timezone})"

    def _given(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))[:-1]

    def _times(self, after: datetime) -> Iterator[datetime]:
        """Yield the times after this one, on a clock that is never changed."""
        hours, minutes = self._values("hour"), self._values("minute")
        day = after.date()
        for _ in range(_LONGEST):
            if hours and minutes and self._is_on(day):
                for hour in hours:
                    for minute in minutes:
                        found = datetime(day.year, day.month, day.day, hour, minute)
                        if found > after:
                            yield found
            if day == date.max:
                return
            day += _DAY

    def _values(self, name: str) -> list[int]:
        least, most = _RANGES[name]
        wanted = getattr(self, name)
        return [value for value in range(least, most + 1) if _fits(wanted, value)]

    def _is_on(self, day: date) -> bool:
        if not _fits(self.month, day.month):
            return False
        of_month = _fits(self.day, day.day)
        of_week = _fits(self.weekday, day.isoweekday() % 7)
        if self.day >= 0 and self.weekday >= 0:
            return of_month or of_week
        return of_month and of_week


def _fits(wanted: int, value: int) -> bool:
    return value % wanted == 0 if wanted < 0 else value == wanted
