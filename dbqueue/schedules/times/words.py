"""When something recurs, in words, and in the language of whoever reads them."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from itertools import pairwise, product
from math import ceil

from cronsim import CronSim
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.timesince import TIME_STRINGS
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60))
_SIXTY, _HOURS, _DAYS = set(range(60)), set(range(24)), set(range(1, 32))
_WEEK, _YEAR = set(range(7)), set(range(1, 13))
_WORKING = {1, 2, 3, 4, 5}  # Sunday is 0
_MOST_TIMES = 4
_MOST_NUMBERS = 8


def of_line(line: CronSim) -> str:
    """Return the times of a crontab's line, as "At 08:00 on weekdays"."""
    times = _clock_times(line)
    days = _days(line)
    if times and not any(days[:-1]):
        days.insert(0, _("every day"))
    return " ".join(filter(None, [times or _pattern(line), *days]))


def every(interval: timedelta) -> str:
    """Return how often that is, as "Every 6 hours"."""
    one = {
        "week": _("Every week"),
        "day": _("Every day"),
        "hour": _("Every hour"),
        "minute": _("Every minute"),
        "second": _("Every second"),
    }
    count, unit = _measured(interval)
    if count == 1:
        return one[unit]
    return _("Every %(duration)s") % {"duration": duration(interval)}


def duration(length: timedelta) -> str:
    """Return it in the largest unit of which it is a multiple, as "90 minutes"."""
    count, unit = _measured(length)
    if unit == "second":
        said = ngettext("%(num)s second", "%(num)s seconds", ceil(count))
        return said % {"num": f"{count:g}"}
    # Django says these in all of its languages.
    return str(TIME_STRINGS[unit] % {"num": int(count)}).replace("\xa0", " ")


def later(times: str, offset: timedelta) -> str:
    """Return those times, moved by as much."""
    return _("%(times)s, %(duration)s later") % {
        "times": times,
        "duration": duration(offset),
    }


def moments(found: tuple[datetime, ...]) -> str:
    """Return the first of some moments, and how many more there are."""
    first = {"moment": f"{found[0]:%Y-%m-%d %H:%M:%S} UTC"}
    if len(found) == 1:
        return _("Once, at %(moment)s") % first
    return _("At %(moment)s and %(count)d more") % {**first, "count": len(found) - 1}


def _measured(length: timedelta) -> tuple[float, str]:
    seconds = length.total_seconds()
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return seconds // size, unit
    return seconds, "second"


def _clock_times(line: CronSim) -> str:
    """Return the times of a day, if they are few."""
    if len(line.hours) * len(line.minutes) * len(line.seconds) > _MOST_TIMES:
        return ""
    each = product(*map(sorted, (line.hours, line.minutes, line.seconds)))
    with_seconds = line.seconds != {0}
    shown = [
        f"{hour:02}:{minute:02}" + (f":{second:02}" if with_seconds else "")
        for hour, minute, second in each
    ]
    return _("At %(times)s") % {"times": _list(shown)}


def _pattern(line: CronSim) -> str:
    """Return how the times of a day recur."""
    values = {
        "seconds": _numbers(line.seconds),
        "minutes": _numbers(line.minutes),
        "hours": _numbers(line.hours),
    }
    is_any_hour, is_any_minute = line.hours == _HOURS, line.minutes == _SIXTY
    if line.seconds != {0}:
        if not (is_any_hour and is_any_minute):
            text = _("At second %(seconds)s of minute %(minutes)s of hour %(hours)s")
            return text % values
        step = _step(line.seconds, 60)
        text = _("At second %(seconds)s of every minute")
        return every(timedelta(seconds=step)) if step else text % values
    if line.minutes == {0} and (step := _step(line.hours, 24)):
        return every(timedelta(hours=step))
    if step := _step(line.minutes, 60):
        often = every(timedelta(minutes=step))
        return often if is_any_hour else _within(often, line.hours, values["hours"])
    if is_any_hour:
        return _("At minute %(minutes)s of every hour") % values
    return _("At minute %(minutes)s of hour %(hours)s") % values


def _within(often: str, hours: set[int], listed: str) -> str:
    first, last = min(hours), max(hours)
    if hours == set(range(first, last + 1)):
        span = {"from": f"{first:02}:00", "until": f"{last:02}:59"}
        return _("%(often)s from %(from)s to %(until)s") % {"often": often, **span}
    return _("%(often)s of hour %(hours)s") % {"often": often, "hours": listed}


def _days(line: CronSim) -> list[str]:
    """Return which days of the month and of the week they are, and which months."""
    weekdays = {day % 7 if isinstance(day, int) else day for day in line.weekdays}
    is_any_day, is_any_weekday = line.days == _DAYS, weekdays == _WEEK
    if not line.day_and and (is_any_day or is_any_weekday):
        is_any_day = is_any_weekday = True  # either is enough
    is_any_month = line.months == _YEAR
    if is_any_weekday and len(line.months) == 1 and len(line.days) == 1:
        (month,), (day,) = line.months, line.days
        if day > 0:
            shown = date_format(date(2024, month, day), "MONTH_DAY_FORMAT")
            return [_("on %(days)s") % {"days": shown}, ""]
    found = [] if is_any_day else _month_days(line.days)
    found += [] if is_any_weekday else [_weekdays(weekdays)]
    in_months = ""
    if not is_any_month:
        names = _list(str(MONTHS[month]) for month in sorted(line.months))
        in_months = _("in %(months)s") % {"months": names}
    days = _list(found)
    if line.day_and and not is_any_day and not is_any_weekday:
        days = _("%(days)s, where both days match") % {"days": days}
    return [days, in_months]


def _month_days(days: set[int]) -> list[str]:
    said = []
    if numbers := {day for day in days if day > 0}:
        said.append(_("on day %(days)s of the month") % {"days": _numbers(numbers)})
    if CronSim.LAST in days:
        said.append(_("on the last day of the month"))
    if CronSim.LAST_WEEKDAY in days:
        said.append(_("on the last weekday of the month"))
    return said


def _weekdays(days: set[int | tuple[int, int]]) -> str:
    if days == _WORKING:
        return _("on weekdays")
    which = {
        1: _("the first %(day)s of the month"),
        2: _("the second %(day)s of the month"),
        3: _("the third %(day)s of the month"),
        4: _("the fourth %(day)s of the month"),
        5: _("the fifth %(day)s of the month"),
        CronSim.LAST: _("the last %(day)s of the month"),
    }
    plain = sorted((day - 1) % 7 for day in days if isinstance(day, int))
    said = [str(WEEKDAYS[day]) for day in plain]
    counted = sorted(day for day in days if isinstance(day, tuple))
    said += [which[n] % {"day": WEEKDAYS[(day - 1) % 7]} for day, n in counted]
    return _("on %(days)s") % {"days": _list(said)}


def _step(values: set[int], whole: int) -> int:
    """Return the distance, if they fill the whole at equal ones; else 0."""
    count = len(values)
    step = whole // count
    is_even = whole % count == 0 and values == set(range(0, whole, step))
    return step if is_even and count > 1 else 0


def _numbers(values: set[int]) -> str:
    """Return numbers as text, as "9 to 17", "0 and 30", or "1, 3, …, 59"."""
    ordered = sorted(values)
    steps = {after - before for before, after in pairwise(ordered)}
    if len(ordered) > 2 and steps == {1}:
        span = {"first": ordered[0], "last": ordered[-1]}
        return _("%(first)d to %(last)d") % span
    if len(ordered) > _MOST_NUMBERS and len(steps) == 1:
        return f"{ordered[0]}, {ordered[1]}, …, {ordered[-1]}"
    return _list(map(str, ordered))


def _list(words: Iterable[str]) -> str:
    return get_text_list(list(words), _("and"))
