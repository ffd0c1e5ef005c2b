"""Schedules that code and settings declare; workers write them to the database."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import isfunction
from typing import Any, Literal, TypedDict, Unpack

from dbqueue.schedules import conf, values
from dbqueue.schedules.exceptions import InvalidSchedule, ScheduleNameTaken
from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.cadence import Cadence
from dbqueue.tasks import signatures
from dbqueue.tasks.framework import AnyTask
from dbqueue.tasks.framework import Task as DjangoTask

_WHEN = ("cron", "timezone", "every", "offset", "at")


class _Options(TypedDict, total=False):
    queue_name: str
    priority: int | None
    backend: str
    enabled: bool
    catch_up: Literal["none", "last", "all"]
    catch_up_limit: int
    overlap: Literal["allow", "skip", "queue_one", "cancel_running"]
    jitter: float | timedelta
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    expires: float | timedelta | None
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
    task, a function, or the dotted path of one.

    args, kwargs: its arguments.
    name: by which it is known everywhere, for good; default the path of the task.
    queue_name, priority, backend: of its jobs; default what the task says.
    enabled: whether it is fired at first; default True.
    catch_up: of ticks that nobody was there to fire, "none" is run, the "last" one, or
        "all"; default "last".
    catch_up_limit: of "all", the last so many; default 1000.
    overlap: if the last run has not ended, "allow" another one, "skip" the tick,
        "queue_one" that waits for the end, or "cancel_running"; default "skip", and
        "allow" with catch_up="all".
    jitter: seconds, or a timedelta, over which schedules are spread; default 0.
    starts_at, ends_at: no tick is before the one, or after the other.
    max_runs: ticks that are fired, at most.
    expires: seconds, or a timedelta, after which a job is not started any more.
    description: a text for people.

    Raises InvalidSchedule, ScheduleNameTaken and WrongArguments.
    """
    unknown = sorted(options.keys() - values.DEFAULTS)
    if unknown:
        known = (*values.DEFAULTS, "args", "kwargs", "name")
        raise InvalidSchedule(values.unknown_option(unknown[0], known))
    path = _path_of(task)
    if not isinstance(when, Cadence):
        raise InvalidSchedule(
            f"The schedule of {path!r} is {when!r}; it must be a Cron, an Every or an "
            "At, such as Cron('0 8 * * mon')."
        )
    given = list(args)
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
