"""Unique: what keeps a task from being enqueued twice."""

from dataclasses import KW_ONLY, dataclass, fields
from datetime import timedelta
from typing import Any

from dbqueue.backoff import LONGEST
from dbqueue.tasks import keys
from dbqueue.tasks.framework import InvalidTask

# What goes together: a period, if one is named, until when the key is taken, and what
# then becomes of another job. The first of each is the default. A throttled key is
# taken for the period, whatever becomes of the job.
LEGAL: dict[str | None, dict[str | None, tuple[str, ...]]] = {
    None: {"finished": ("skip", "raise"), "started": ("skip", "replace", "raise")},
    "debounce": {"started": ("replace",)},
    "throttle": {None: ("skip", "raise")},
    "cooldown": {"finished": ("skip", "raise")},
}
_ADVICE: dict[tuple[str | None, str | None], str] = {
    ("finished", "replace"): "One that runs cannot be replaced: say until='started'.",
    (None, "replace"): "What was enqueued may have ended: debounce= replaces.",
}
_PERIODS = ("debounce", "throttle", "cooldown")


@dataclass(frozen=True)
class Unique:
    """Lets one job of a key stand at a time; for `@task(unique=...)`.

    name: what the key begins with; default the task's path. Tasks may share one.
    key: the name of an argument, a list of names, or a function that gets the
        arguments and returns JSON, or None: then that job is not unique. Default: all
        arguments. An empty list: one job of the task.
    until: "finished", the default, or "started", until when a job has its key.
    on_conflict: what becomes of a job whose key is taken. "skip", the default: the one
        that stands is returned. "replace": that one gets the new arguments and moment.
        "raise": AlreadyEnqueued is raised.
    debounce: seconds, or a timedelta. A job waits as long, and from each further
        enqueue again, with the latest arguments.
    max_wait: seconds, or a timedelta, that it waits at most; default no limit.
    throttle: seconds, or a timedelta, in which no second job is enqueued.
    cooldown: the same, counted from the end of the job.

    Raises InvalidTask for what does not go together; see LEGAL.
    """

    name: str | None = None
    _: KW_ONLY
    key: keys.Key = None
    until: str | None = None
    on_conflict: str | None = None
    debounce: float | timedelta | None = None
    max_wait: float | timedelta | None = None
    throttle: float | timedelta | None = None
    cooldown: float | timedelta | None = None

    def __post_init__(self) -> None:
        self._put("key", keys.normal(self.key))
        self._check_name()
        for name in (*_PERIODS, "max_wait"):
            self._put(name, _seconds(name, getattr(self, name)))
        self._complete()

    def _check_name(self) -> None:
        name = self.name
        fits = name is None or (isinstance(name, str) and 1 <= len(name) <= 100)
        if not fits or (name is not None and not name.isprintable()):
            raise InvalidTask(
                f"Unique({name!r}) must be a name of 1 to 100 printable characters. "
                "Arguments are named by key=."
            )

    def _complete(self) -> None:
        """Put defaults in the place of what was not said, and check the whole."""
        periods = [name for name in _PERIODS if getattr(self, name) is not None]
        if len(periods) > 1:
            self._refuse(f"Choose one of {' and '.join(periods)}.")
        ways = LEGAL[periods[0] if periods else None]
        until, then = self.until, self.on_conflict
        if until is None:  # the first way that has this conflict
            fitting = (way for way in ways if then is None or then in ways[way])
            until = next(fitting, next(iter(ways)))
        if then is None and until in ways:
            then = ways[until][0]
        if until not in ways or then not in ways[until]:
            self._refuse(_ADVICE.get((until, then)) or _allowed(periods, ways))
        if self.max_wait is not None and periods != ["debounce"]:
            self._refuse("max_wait= is for debounce= alone.")
        if self.max_wait is not None and self.max_wait < self.debounce:  # type: ignore[operator]  # seconds, both
            self._refuse("max_wait= must not be below debounce=.")
        self._put("until", until)
        self._put("on_conflict", then)

    def _refuse(self, advice: str) -> None:
        given = ((f.name, getattr(self, f.name)) for f in fields(self))
        said = ", ".join(f"{n}={value!r}" for n, value in given if value is not None)
        raise InvalidTask(f"Unique({said}) does not go together. {advice}")

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def key_of(self, task: Any, args: Any, kwargs: Any) -> str | None:
        """Return the key of a call; None if it is not unique. Raises InvalidKey."""
        value = keys.value_of("unique", self.key, task, args, kwargs)
        if value is None and callable(self.key):
            return None
        return keys.composed(self.name or task.module_path, keys.text(value))


def _allowed(periods: list[str], ways: dict[str | None, tuple[str, ...]]) -> str:
    allowed = " or ".join(
        ", ".join([*([f"until={way!r}"] if way else []), f"on_conflict={then!r}"])
        for way, all_of_them in ways.items()
        for then in all_of_them
    )
    return f"{'With ' + periods[0] + '=: ' if periods else 'Say '}{allowed}."


def _seconds(name: str, given: Any) -> float | None:
    if given is None:
        return None
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= LONGEST:
        raise InvalidTask(
            f"{name}={given!r} must be seconds above 0, ten years at most, or a "
            "timedelta."
        )
    return float(seconds)
