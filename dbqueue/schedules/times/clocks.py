"""The next time of a crontab's line, on the clock of a time zone.

The line itself is read elsewhere, and always on a clock that is never changed. What
daylight saving time does to a time is decided here.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from dbqueue.schedules.exceptions import InvalidSchedule

# Gives the times of a line after one, on a clock that is never changed.
Times = Callable[[datetime], Iterator[datetime]]

SECOND = timedelta(seconds=1)
# How near a change of the clock is looked for; none sets it back by as much.
NEAR = timedelta(hours=3)


def zone(name: Any) -> ZoneInfo:
    """Return the time zone of this name. Raises InvalidSchedule."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    near = get_close_matches(str(name), available_timezones(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InvalidSchedule(f"There is no time zone {name!r}.{hint}")


def fixed(times: Times, zone: tzinfo, after: datetime) -> datetime | None:
    """Return when the clock next shows, for the first time, a time of the line.

    A time that is left out on the night of a change counts as shown when the clock
    passes over it, and one that is repeated is shown once.
    """
    for naive in _until_the_end(times, _local(after, zone)):
        moment = _first_shown(naive, zone)
        if moment > after:
            return moment
    return None


def running(times: Times, zone: tzinfo, after: datetime) -> datetime | None:
    """Return when the clock next shows a time of the line, as often as it does so."""
    change = _change(after, zone)
    if change is not None:
        naive = next(_until_the_end(times, _local(after, zone)), None)
        offset = _offset(after, zone)
        if naive is not None and (moment := _utc(naive, offset)) < change:
            return moment
    since = after if change is None else change - SECOND
    base = after if change is None else change
    offset = _offset(base, zone)
    for naive in _until_the_end(times, _local(base, zone) - (base - since)):
        # Within the repeated hour, and near it, the offset of now decides.
        near = _utc(naive, offset)
        for moment in (near, naive.replace(tzinfo=zone).astimezone(UTC)):
            close = moment is not near or near <= base + NEAR
            if close and moment > since and _local(moment, zone) == naive:
                return moment
    return None


def _until_the_end(times: Times, after: datetime) -> Iterator[datetime]:
    try:
        yield from times(after)
    except OverflowError:  # the end of the calendar
        return


def _first_shown(naive: datetime, zone: tzinfo) -> datetime:
    moment = naive.replace(tzinfo=zone).astimezone(UTC)
    if _local(moment, zone) == naive:
        return moment
    before = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _edge(before, moment, zone)


def _change(after: datetime, zone: tzinfo) -> datetime | None:
    """Return when the clock is next changed, if that is near."""
    start = after.replace(microsecond=0)
    if _offset(start, zone) == _offset(start + NEAR, zone):
        return None
    return _edge(start, start + NEAR, zone)


def _edge(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the first second in between with another offset than the first moment."""
    offset = _offset(low, zone)
    while high - low > SECOND:
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _utc(naive: datetime, offset: timedelta) -> datetime:
    return (naive - offset).replace(tzinfo=UTC)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: tzinfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
