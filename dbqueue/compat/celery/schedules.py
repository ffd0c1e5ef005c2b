"""crontab and schedule: when periodic tasks run."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NoReturn

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov"),
    "dec",
)
# Lowest, highest, and the names of values.
_FIELDS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day_of_month": (1, 31, ()),
    "month_of_year": (1, 12, _MONTHS),
    "day_of_week": (0, 6, _DAYS),
}
_TERM = re.compile(r"(\*|\w+(?:-\w+)?)(?:/(\d+))?")


class ParseException(ValueError):
    """A field of a crontab cannot be read."""


class BaseSchedule:
    """What periodic tasks are given as a schedule, beside seconds and timedeltas."""


class crontab(BaseSchedule):
    """The times of a crontab; the day of the month and that of the week both count.

    Each field is text as in a crontab, a number, or several numbers. Raises ValueError,
    as ParseException for what cannot be read.
    """

    def __init__(
        self,
        minute: Any = "*",
        hour: Any = "*",
        day_of_week: Any = "*",
        day_of_month: Any = "*",
        month_of_year: Any = "*",
        **ignored: Any,
    ) -> None:
        given = {
            "minute": minute,
            "hour": hour,
            "day_of_month": day_of_month,
            "month_of_year": month_of_year,
            "day_of_week": day_of_week,
        }
        self.fields = {name: _numbers(name, value) for name, value in given.items()}
        self.given = given

    @classmethod
    def from_string(cls, line: str) -> "crontab":
        """Return that of a crontab's line: minute, hour, day, month, weekday."""
        minute, hour, day, month, weekday = line.split()
        return cls(minute, hour, weekday, day, month)

    def __repr__(self) -> str:
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        fields = " ".join(str(self.given[name]) for name in names)
        return f"<crontab: {fields} (m/h/dM/MY/d)>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, crontab) and other.fields == self.fields

    def __hash__(self) -> int:
        return hash(self.line())

    def line(self) -> str:
        """Return it as a crontab's line; see Cron of dbqueue, with both_days."""
        return " ".join(_field(name, numbers) for name, numbers in self.fields.items())


class schedule(BaseSchedule):
    """An interval, in seconds or as a timedelta."""

    def __init__(self, run_every: Any = None, *ignored: Any, **more: Any) -> None:
        seconds = run_every if isinstance(run_every, timedelta) else None
        self.run_every = seconds or timedelta(seconds=float(run_every or 0))

    def __repr__(self) -> str:
        return f"<freq: {self.run_every}>"

    @property
    def seconds(self) -> float:
        return self.run_every.total_seconds()


def solar(*args: Any, **how: Any) -> NoReturn:
    """Refuse: dbqueue knows no sunrise."""
    raise NotImplementedError(
        "solar() is not supported by dbqueue.compat.celery. Use a crontab near it."
    )


def maybe_schedule(given: Any, *ignored: Any, **more: Any) -> Any:
    """Return a schedule for what may be a number of seconds or a timedelta."""
    number = isinstance(given, int | float | timedelta)
    return schedule(given) if number else given


def _numbers(name: str, value: Any) -> frozenset[int]:
    low, high, _ = _FIELDS[name]
    if isinstance(value, int):
        found = {value}
    elif isinstance(value, str):
        found = set().union(*(_term(name, term) for term in value.split(",")))
    elif isinstance(value, Iterable):
        found = {int(item) for item in value}
    else:
        raise TypeError(f"crontab({name}={value!r}) is text, a number or several.")
    if not found or min(found) < low or max(found) > high:
        raise ValueError(f"crontab({name}={value!r}) is outside of {low} to {high}.")
    return frozenset(found)


def _term(name: str, text: str) -> set[int]:
    low, high, _ = _FIELDS[name]
    match = _TERM.fullmatch(text.strip())
    if match is None:
        raise ParseException(f"crontab({name}={text!r}) cannot be read.")
    stretch, step = match.group(1), int(match.group(2) or 1)
    if match.group(2) is not None and stretch != "*" and "-" not in stretch:
        raise ParseException(f"crontab({name}={text!r}): a step is of a stretch.")
    if stretch == "*":
        every = range(low, high + 1)
    else:
        first, dash, last = stretch.partition("-")
        begin, end = _number(name, first), _number(name, last if dash else first)
        if begin <= end:
            every = range(begin, end + 1)
        else:  # as fri-mon, and 22-4
            return {*[*range(begin, high + 1), *range(low, end + 1)][::step]}
    if not step:
        raise ParseException(f"crontab({name}={text!r}): no step is 0.")
    return set(every[::step])


def _number(name: str, text: str) -> int:
    low, _, names = _FIELDS[name]
    if text.isdecimal():
        return int(text)
    if names and text[:3].lower() in names:
        return names.index(text[:3].lower()) + low
    raise ParseException(f"crontab({name}={text!r}) is no number, nor a known name.")


def _field(name: str, numbers: frozenset[int]) -> str:
    low, high, _ = _FIELDS[name]
    if len(numbers) == high - low + 1:
        return "*"
    ordered = sorted(numbers)
    step = ordered[1] - ordered[0] if len(ordered) > 2 else 0
    if step > 1 and ordered == list(range(low, high + 1, step)):
        return f"*/{step}"
    return ",".join(_stretches(ordered))


def _stretches(ordered: list[int]) -> Iterable[str]:
    first = last = ordered[0]
    for number in [*ordered[1:], None]:
        if number is not None and number == last + 1:
            last = number
            continue
        yield str(first) if first == last else f"{first}-{last}"
        if number is not None:
            first = last = number
