"""When the ticks of a schedule are: Cron, Every and At, and how rows keep them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django.conf import settings

from dbqueue.backoff import LONGEST
from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times import clocks, lines, words
from dbqueue.schedules.times.base import Cadence, of_kind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Cron(Cadence):
    """The times of a crontab's line, by the clock of a time zone.

    Five fields, six with seconds before them, or a macro as "@daily". The zone is a
    name as "Europe/Berlin"; by default TIME_ZONE of the settings. `both_days` wants the
    day and the weekday to match; by default either is enough, if neither begins with a
    star. Raises InvalidSchedule for a line that cannot be read, or has no time.
    """

    expression: str
    timezone: str = field(default="", kw_only=True)
    both_days: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        zone = getattr(self.timezone, "key", self.timezone)
        object.__setattr__(self, "timezone", zone or "")
        if not isinstance(self.expression, str):
            raise InvalidSchedule(f"Cron({self.expression!r}): a line is text.")
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        if self.timezone:
            clocks.zone(self.timezone)
        if not isinstance(self.both_days, bool):
            raise InvalidSchedule(
                f"Cron(…, both_days={self.both_days!r}): it is True or False."
            )
        lines.check(self.expression, both_days=self.both_days)

    @property
    def zone(self) -> tzinfo:
        return clocks.zone(self.timezone or settings.TIME_ZONE)

    @property
    def is_fixed(self) -> bool:
        """Whether it names hours and minutes, rather than every one of them."""
        minute, hour = lines.plain(self.expression).split()[-5:-3]
        return not (minute.startswith("*") or hour.startswith("*"))

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick after the moment, in UTC; None if there is none."""
        find = clocks.fixed if self.is_fixed else clocks.running
        try:
            return find(self._times, self.zone, moment.astimezone(UTC))
        except OverflowError:
            return None

    def words(self) -> str:
        """Return it in plain words, as "At 08:00 on weekdays"."""
        return lines.words(self.expression, both_days=self.both_days)

    def as_json(self) -> dict[str, Any]:
        """Return what a row keeps, with the time zone of here and now."""
        zone = self.timezone or settings.TIME_ZONE
        more = {"both_days": True} if self.both_days else {}
        return {"cron": self.expression, "timezone": zone, **more}

    def _times(self, after: datetime) -> Iterator[datetime]:
        return lines.times(self.expression, after, both_days=self.both_days)

    def __str__(self) -> str:
        return f"{self.words()} ({self.timezone or settings.TIME_ZONE})"


@dataclass(frozen=True)
class Every(Cadence):
    """Ticks that are as far from each other, whatever a clock on the wall shows.

    They are counted from the beginning of 1970 (UTC), so that Every(timedelta(hours=6))
    is at 00:00, 06:00, 12:00 and 18:00 UTC; `offset` moves all of them. Both are
    timedeltas, or seconds. Raises InvalidSchedule for less than a second.
    """

    interval: timedelta
    offset: timedelta = field(default=timedelta(), kw_only=True)

    def __post_init__(self) -> None:
        for name in ("interval", "offset"):
            value = _duration(name, getattr(self, name))
            object.__setattr__(self, name, value)
        if self.interval < clocks.SECOND:
            raise InvalidSchedule(
                f"Every({self.interval!r}): an interval is a second or longer."
            )
        if not timedelta() <= self.offset < self.interval:
            raise InvalidSchedule(
                f"Every(…, offset={self.offset!r}): it is 0 or more, and less than the "
                f"interval, {self.interval!r}."
            )

    def after(self, moment: datetime) -> datetime | None:
        """See Cron.after()."""
        start = EPOCH + self.offset
        count = (moment - start) // self.interval + 1
        try:
            return start + count * self.interval
        except OverflowError:
            return None

    def words(self) -> str:
        """Return it in plain words, as "Every 6 hours"."""
        said = words.every(self.interval)
        return words.later(said, self.offset) if self.offset else said

    def as_json(self) -> dict[str, Any]:
        """See Cron.as_json()."""
        seconds = {"every": self.interval.total_seconds()}
        return seconds | (
            {"offset": self.offset.total_seconds()} if self.offset else {}
        )


@dataclass(frozen=True, init=False)
class At(Cadence):
    """One or more moments, each once. Raises InvalidSchedule for a naive one."""

    moments: tuple[datetime, ...]

    def __init__(self, *moments: datetime) -> None:
        if not moments:
            raise InvalidSchedule("At() needs a moment, an aware datetime.")
        for moment in moments:
            if not isinstance(moment, datetime) or moment.utcoffset() is None:
                raise InvalidSchedule(
                    f"At({moment!r}): a moment is an aware datetime, with a tzinfo."
                )
        ordered = sorted({moment.astimezone(UTC) for moment in moments})
        object.__setattr__(self, "moments", tuple(ordered))

    def after(self, moment: datetime) -> datetime | None:
        """See Cron.after()."""
        return next((item for item in self.moments if item > moment), None)

    def words(self) -> str:
        """Return it in plain words."""
        return words.moments(self.moments)

    def as_json(self) -> dict[str, Any]:
        """See Cron.as_json()."""
        return {"at": [moment.isoformat() for moment in self.moments]}


def read(kept: Any) -> Cadence:
    """Return the cadence that a row, or an entry of the settings, describes.

    Raises InvalidSchedule.
    """
    if isinstance(kept, Cadence):
        return kept
    if isinstance(kept, Mapping):
        given = dict(kept)
        match given:
            case {"cron": line, **rest} if rest.keys() <= {"timezone", "both_days"}:
                zone, both = rest.get("timezone"), rest.get("both_days")
                return Cron(line, timezone=zone or "", both_days=both or False)
            case {"every": every, **rest} if rest.keys() <= {"offset"}:
                return Every(every, offset=rest.get("offset") or timedelta())
            case {"at": [*moments]} if len(given) == 1:
                return At(*map(moment, moments))
        if (own := of_kind(given)) is not None:
            return own
    raise InvalidSchedule(
        f"{kept!r:.200} does not say when: it needs one of 'cron' (with 'timezone' and "
        "'both_days'), 'every' (with 'offset') or 'at'."
    )


def moment(value: Any) -> datetime:
    """Return the moment that a text says. Raises InvalidSchedule."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidSchedule(
            f"At({value!r}): a moment is an aware datetime."
        ) from None


def _duration(name: str, value: Any) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):  # not a number is one
            value = repr(value)
    if not isinstance(value, timedelta) or abs(value).total_seconds() > LONGEST:
        raise InvalidSchedule(
            f"Every(): {name} is {value!r}; it is a timedelta, or seconds, of ten "
            "years at most."
        )
    return value
