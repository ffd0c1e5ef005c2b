"""Schedules that code and settings declare; workers write them to the database."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import isfunction
from typing import Any, Literal, TypedDict, Unpack

from dbqueue.schedules import conf, values
from dbqueue.schedules.exceptions import InvalidSchedule, ScheduleNameTaken
from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.base import Cadence
from dbqueue.tasks import signatures
from dbqueue.tasks.framework import AnyTask
from dbqueue.tasks.framework import Task as DjangoTask

_WHEN = ("cron", "timezone", "both_days", "every", "offset", "at")


class _Options(TypedDict, total=False):
    """What schedule() takes besides."""

    # Of its jobs; default what the task says.
    queue_name: str
    priority: int | None
    backend: str
    # Whether it is fired at first; default True.
    enabled: bool
    # Of ticks that nobody was there to fire: none is run, the "last", or "all" of them,
    # the last 1000 at most, or as many as the limit says. Default "last".
    catch_up: Literal["none", "last", "all"]
    catch_up_limit: int
    # While the last run has not ended. Default "skip", and "allow" with "all" above.
    overlap: Literal["allow", "skip", "queue_one", "cancel_running"]
    # Seconds, or a timedelta, over which schedules are spread; default 0.
    jitter: float | timedelta
    # No tick is before the one, or after the other.
    starts_at: datetime | None
    ends_at: datetime | None
    # Ticks that are fired, at most.
    max_runs: int | None
    # Seconds, or a timedelta, after a tick, from which on its job is not started.
    expires: float | timedelta | None
    # A text for people.
    description: str


@dataclass
class Declaration:
    """A schedule as it is declared; its values are checked, and its task need not be
    importable yet.
    """

    name: str
    origin: str
    task: str
    cadence: Cadence
    args: Any
    kwargs: Any
    description: str
    backend: str
    queue_name: str
    priority: int | None
    enabled: bool
    catch_up: str
    catch_up_limit: int
    overlap: str
    jitter: float
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    expires: float | None

    def __post_init__(self) -> None:
        values.check(self)


# What schedule() and @task have declared in this process, by name.
declared: dict[str, Declaration] = {}
# What wings declare besides, each time anew: called when the tasks are imported.
sources: list[Callable[[], tuple[list[Declaration], list[InvalidSchedule]]]] = []


def schedule(
    task: AnyTask | Callable[..., Any] | str,
    when: Cadence,
    /,
    *,
    args: Iterable[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    name: str | None = None,
    **options: Unpack[_Options],
) -> Declaration:
    """Declare that a task is to be run at the times of a Cron, an Every or an At.

    To be called where a worker's start imports it, as in a module `tasks`. `task` is a
    task, a function, or the dotted path of one; `args` and `kwargs` are its arguments.
    `name` is that of the schedule everywhere, for good; default the path of the task.
    For the options, and their defaults, see _Options.

    Raises InvalidSchedule, ScheduleNameTaken and WrongArguments.
    """
    path, given = _path_of(task), list(args)
    _check(path, when, options)
    if isinstance(task, DjangoTask):
        signatures.check(task, given, kwargs or {})
    made = Declaration(
        name=path if name is None else name,
        origin="code",
        task=path,
        cadence=when,
        args=given,
        kwargs=dict(kwargs or {}),
        **{**values.DEFAULTS, **options},
    )
    other = declared.setdefault(made.name, made)
    if other != made:
        raise ScheduleNameTaken(
            f"Two schedules are called {made.name!r}, of {other.task!r} "
            f"({other.cadence}) and of {made.task!r} ({made.cadence}). Give each a "
            "name of its own: schedule(…, name='…')."
        )
    return other


def everything() -> tuple[list[Declaration], list[InvalidSchedule]]:
    """Return what is declared anywhere, and what is wrong with the rest of it."""
    made, wrong = list(declared.values()), list[InvalidSchedule]()
    for source in (from_settings, *sources):
        more, refused = source()
        names = {given.name for given in made}
        made += [given for given in more if given.name not in names]
        wrong += [*refused, *(_twice(given) for given in more if given.name in names)]
    return made, wrong


def _twice(given: Declaration) -> ScheduleNameTaken:
    return ScheduleNameTaken(
        f"Schedule {given.name!r} is declared twice, once in the {given.origin}. Give "
        "one of them another name."
    )


def from_settings() -> tuple[list[Declaration], list[InvalidSchedule]]:
    """Return what ENTRIES of the settings declare, and what is wrong there."""
    made, wrong = [], []
    for name, entry in conf.current().entries.items():
        try:
            made.append(_of_entry(name, entry))
        except InvalidSchedule as error:
            place = f"{conf.ScheduleSettings.PLACE}['ENTRIES'][{name!r}]"
            wrong.append(InvalidSchedule(f"{place}: {error}"))
    return made, wrong


def _of_entry(name: Any, entry: Any) -> Declaration:
    if not isinstance(entry, Mapping):
        raise InvalidSchedule(f"It is {entry!r}; it must be a dict.")
    known = (*values.CALL, *_WHEN, *values.DEFAULTS)
    for key in entry:
        if key not in known:
            raise InvalidSchedule(values.unknown_option(str(key), known))
    when = {key: entry[key] for key in _WHEN if key in entry}
    given = {key: entry[key] for key in values.DEFAULTS if key in entry}
    return Declaration(
        name=name,
        origin="settings",
        task=_path_of(entry.get("task")),
        cadence=cadence.read(when),
        args=entry.get("args", []),
        kwargs=entry.get("kwargs", {}),
        **{**values.DEFAULTS, **given},
    )


def _check(path: str, when: Any, options: Mapping[str, Any]) -> None:
    unknown = sorted(options.keys() - values.DEFAULTS)
    if unknown:
        known = (*values.DEFAULTS, "args", "kwargs", "name")
        raise InvalidSchedule(values.unknown_option(unknown[0], known))
    if not isinstance(when, Cadence):
        raise InvalidSchedule(
            f"The schedule of {path!r} is {when!r}; it must be a Cron, an Every or an "
            "At, such as Cron('0 8 * * mon')."
        )


def _path_of(task: Any) -> str:
    if isinstance(task, DjangoTask):
        return task.module_path
    if isinstance(task, str):
        return task
    if isfunction(task):
        return f"{task.__module__}.{task.__qualname__}"
    raise InvalidSchedule(
        f"{task!r:.200} is neither a task, nor a function, nor a dotted path."
    )
