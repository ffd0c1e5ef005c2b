"""What the values of a schedule may be, wherever it is written: code, settings, rows.

An object has them as attributes, under the names of FIELDS.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from dbqueue.backoff import LONGEST
from dbqueue.conf import nearest
from dbqueue.exceptions import DbqueueError
from dbqueue.schedules.exceptions import InvalidSchedule, ScheduleNameTaken
from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.base import Cadence
from dbqueue.schedules.times.plan import aware
from dbqueue.tasks import options, typed
from dbqueue.tasks.framework import InvalidTask, InvalidTaskBackend

NAME_LENGTH = 255
CATCH_UP_LIMIT = 1000
CATCH_UPS = ("none", "last", "all")
OVERLAPS = ("allow", "skip", "queue_one", "cancel_running")

DEFAULTS: dict[str, Any] = {
    "description": "",
    "backend": "",
    "queue_name": "",
    "priority": None,
    "enabled": True,
    "catch_up": "last",
    "catch_up_limit": CATCH_UP_LIMIT,
    "overlap": "",
    "jitter": 0.0,
    "starts_at": None,
    "ends_at": None,
    "max_runs": None,
    "expires": None,
}
CALL = ("task", "args", "kwargs")
FIELDS = (*CALL, "cadence", *DEFAULTS)


def check(given: Any) -> None:
    """Check the values by themselves, and write them as they are kept.

    Raises InvalidSchedule.
    """
    check_name(given.name)
    with told_of(given.name):
        given.cadence = cadence.read(given.cadence)
        _check_path(given.task)
        for name, is_right, words in _RULES:
            value = getattr(given, name)
            if not is_right(value):
                raise InvalidSchedule(f"{name}={value!r:.200} must be {words}.")
        for name in ("jitter", "expires"):
            setattr(given, name, _seconds(getattr(given, name)))
        for name in ("starts_at", "ends_at"):
            setattr(given, name, _moment(name, getattr(given, name)))
        if given.starts_at and given.ends_at and given.starts_at >= given.ends_at:
            raise InvalidSchedule(
                f"ends_at={given.ends_at!r} must be after starts_at="
                f"{given.starts_at!r}."
            )
        if given.queue_name:
            options.check_queue_name(given.queue_name)
        if given.priority is not None:
            options.check_priority(given.priority)
        if given.backend:
            options.check_backend(given.backend)


def check_name(name: Any) -> None:
    """Raise InvalidSchedule for what a command or a page could not show."""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LENGTH:
        raise InvalidSchedule(
            f"name={name!r:.300} must be text of 1 to {NAME_LENGTH} characters."
        )
    if not name.isprintable() or name != name.strip():
        raise InvalidSchedule(
            f"name={name!r} must be printable, without spaces around it."
        )


def plain(given: Any) -> dict[str, Any]:
    """Return the values as JSON has them."""
    return {name: _plain(getattr(given, name)) for name in FIELDS}


def differing(row: Any) -> list[str]:
    """Return the names of the values that are other than those declared."""
    if not isinstance(row.declared, Mapping):
        return []
    now = plain(row)
    return [n for n in FIELDS if n in row.declared and row.declared[n] != now[n]]


def unknown_option(name: str, known: Any) -> str:
    """Return what is to be said of an option that there is not."""
    return f"There is no option {name!r}.{nearest(name, known)}"


@contextmanager
def name_taken(name: str) -> Iterator[None]:
    """Raise ScheduleNameTaken for the database's refusal of a second one."""
    try:
        yield
    except IntegrityError as error:
        if "name" not in str(error):
            raise
        raise ScheduleNameTaken(
            f"There is a schedule {name!r} already. Give this one another name."
        ) from error


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Name the schedule in what is raised; all of it is InvalidSchedule then."""
    try:
        yield
    except (DbqueueError, InvalidTask, InvalidTaskBackend) as error:
        raise InvalidSchedule(f"Schedule {name!r}: {error}") from error


def _check_path(path: Any) -> None:
    parts = path.split(".") if isinstance(path, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise InvalidSchedule(
            f"{path!r:.300} is not a task, nor the dotted path of one, such as "
            "'app.tasks.send'."
        )
    options.check_path(path)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    return float(value.total_seconds() if isinstance(value, timedelta) else value)


def _moment(name: str, value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidSchedule(f"{name}={value!r} must be a datetime.") from None
    if value is None:
        return None
    aware: datetime = value
    return timezone.make_aware(aware) if timezone.is_naive(aware) else aware


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return aware(value).astimezone(UTC).isoformat()
    return value.as_json() if isinstance(value, Cadence) else value


def _is_whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int)
        and not isinstance(value, bool)
        and least <= value <= most
    )


def _is_duration(value: Any) -> bool:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 0 <= value <= LONGEST


_MOST = 2_147_483_647  # what the column holds
_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "args",
        lambda value: isinstance(value, list | tuple) or typed.is_typed(value),
        "a list",
    ),
    ("kwargs", lambda value: isinstance(value, Mapping), "a dict"),
    ("description", lambda value: isinstance(value, str), "text"),
    ("enabled", lambda value: isinstance(value, bool), "True or False"),
    ("catch_up", CATCH_UPS.__contains__, f"one of {', '.join(CATCH_UPS)}"),
    ("catch_up_limit", _is_whole(1, 100_000), "from 1 to 100000"),
    ("overlap", ("", *OVERLAPS).__contains__, f"one of {', '.join(OVERLAPS)}"),
    ("jitter", _is_duration, "seconds or a timedelta, 0 or more"),
    (
        "expires",
        lambda value: value is None or (_is_duration(value) and value),
        "seconds or a timedelta above 0, or None",
    ),
    (
        "starts_at",
        lambda value: value is None or isinstance(value, datetime | str),
        "a datetime, or None",
    ),
    (
        "ends_at",
        lambda value: value is None or isinstance(value, datetime | str),
        "a datetime, or None",
    ),
    (
        "max_runs",
        lambda value: value is None or _is_whole(1, _MOST)(value),
        "a whole number from 1, or None",
    ),
)
