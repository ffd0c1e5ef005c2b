"""What a task says of its limits: Limit and Fair."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from datetime import timedelta
from typing import Any

from dbqueue.backoff import LONGEST
from dbqueue.limits.exceptions import InvalidLimit
from dbqueue.tasks import keys
from dbqueue.tasks.framework import InvalidTask

NAME_LENGTH = 100  # what the columns hold
MOST = 1_000_000  # a limit is at most that
# How much of its turn a lane gets: a number for each, by its value as text.
Weight = Mapping[str, int] | Callable[[str], int] | None


@dataclass(frozen=True)
class Limit:
    """Limits how many jobs of a lane run at once, or start in a time; for @task().

    name: tasks that name the same limit share it; default the task's path.
    key: the name of an argument, a list of names, or a function that gets the
        arguments: each value has a lane of its own, and each lane its own limit. The
        jobs for which the function returns None have no limit. Default one lane.
    concurrency: jobs of a lane that may be ready or running at once.
    rate: jobs of a lane that may start in the time `per`.
    per: seconds, or a timedelta; default one second.
    burst: how many of them may start at once; default 1.
    ordered: one after the other, in the order in which they were enqueued. One that is
        to be retried keeps its place. Priorities come first.

    Raises InvalidLimit for what does not go together, InvalidTask for a wrong key.
    """

    name: str | None = None
    _: KW_ONLY
    key: keys.Key = None
    concurrency: int | None = None
    rate: int | None = None
    per: float | timedelta | None = None
    burst: int | None = None
    ordered: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", keys.normal(self.key))
        _check_name("Limit", self.name)
        values = {name: getattr(self, name) for name in VALUES}
        checked = check_values(values)
        if not isinstance(self.ordered, bool):
            self._refuse("ordered= must be True or False.")
        if self.ordered and self.concurrency not in (None, 1):
            self._refuse("ordered= runs one job at a time: leave out concurrency=.")
        if self.rate is None and (self.per is not None or self.burst is not None):
            self._refuse("per= and burst= are for rate=.")
        if self.concurrency is None and self.rate is None and not self.ordered:
            self._refuse("Say concurrency=, rate= or ordered=True.")
        if self.rate is not None:
            checked = {"per": 1.0, "burst": 1} | {
                name: value for name, value in checked.items() if value is not None
            }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _refuse(self, advice: str) -> None:
        raise InvalidLimit(f"{_said(self)} does not go together. {advice}")


@dataclass(frozen=True)
class Fair:
    """Lets the lanes of a group take turns, however much waits in one; for @task().

    name: tasks that name the same group share its turns; default that of their limit,
        or else the task's path.
    key: the name of an argument, a list of names, or a function that gets the
        arguments: whose turn it is, such as a tenant's.
    weight: how many jobs a lane starts in its turn, by its value as text: a mapping,
        or a function, which workers call at most once a minute for a lane and which
        should be quick. Default 1.

    Beside a Limit with the same key, that one holds for each lane; beside one without
    a key, for the group. Raises InvalidLimit and InvalidTask.
    """

    name: str | None = None
    _: KW_ONLY
    key: keys.Key = None
    weight: Weight = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", keys.normal(self.key))
        _check_name("Fair", self.name)
        if self.key is None:
            raise InvalidLimit(f"{_said(self)} needs key=, by which jobs take turns.")
        if isinstance(self.weight, Mapping):
            for value in self.weight.values():
                check_weight(value)
        elif self.weight is not None and not callable(self.weight):
            raise InvalidLimit(
                f"{_said(self)}: weight= must be a mapping of weights, or a function "
                "that returns one."
            )


# What an operator may override.
VALUES = ("concurrency", "rate", "per", "burst")


def check_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a limit, `per` in seconds. Raises InvalidLimit."""
    checked = dict(values)
    for name in values.keys() & {"concurrency", "rate", "burst"}:
        value = values[name]
        if value is not None and not _is_whole(value):
            advice = " To let nothing start, pause it." if value == 0 else ""
            raise InvalidLimit(
                f"{name}={value!r} must be a whole number from 1 to {MOST:,}.{advice}"
            )
    if values.get("per") is not None:
        checked["per"] = _seconds(values["per"])
    return checked


def check_weight(value: Any) -> int:
    """Return the weight. Raises InvalidLimit."""
    if not _is_whole(value) or value > 1000:
        raise InvalidLimit(f"weight={value!r} must be a whole number from 1 to 1000.")
    return int(value)


def _is_whole(value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 1 <= value <= MOST


def _seconds(given: Any) -> float:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 < seconds <= LONGEST:
        raise InvalidLimit(f"per={given!r} must be seconds above 0, or a timedelta.")
    return float(seconds)


def _check_name(kind: str, name: Any) -> None:
    if name is None:
        return
    fits = isinstance(name, str) and 1 <= len(name) <= NAME_LENGTH
    if not fits or not name.isprintable() or ":" in name:
        raise InvalidTask(
            f"{kind}({name!r}) must be a name of 1 to {NAME_LENGTH} printable "
            "characters, without a colon. Arguments are named by key=."
        )


def _said(given: Any) -> str:
    values = ((f.name, getattr(given, f.name)) for f in fields(given))
    said = ", ".join(f"{n}={value!r}" for n, value in values if value)
    return f"{type(given).__name__}({said})"
