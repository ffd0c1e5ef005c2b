"""@task, and what it has made."""

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from inspect import unwrap
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Literal,
    Protocol,
    TypedDict,
    Unpack,
    overload,
)

from dbqueue import conf, wings
from dbqueue.backoff import Backoff
from dbqueue.tasks import options
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import DJANGO_DEFAULTS, P, R, Task
from dbqueue.tasks.unique import Unique

if TYPE_CHECKING:
    from dbqueue.tasks.context import JobContext


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...

    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class _ContextDecorator(Protocol):
    @overload
    def __call__(
        self, function: "Callable[Concatenate[JobContext, P], Awaitable[R]]", /
    ) -> Task[P, R]: ...

    @overload
    def __call__(
        self, function: "Callable[Concatenate[JobContext, P], R]", /
    ) -> Task[P, R]: ...


class _Options(TypedDict, total=False):
    queue_name: str
    priority: int
    backend: str
    max_attempts: int | None
    backoff: Backoff | None
    retry_on: options.ExceptionClasses
    give_up_on: options.ExceptionClasses
    timeout: float | None
    atomic: bool
    codec: Literal["json", "typed"] | None
    unique: Unique | None
    expires: float | timedelta | datetime | None
    aliases: str | Sequence[str]
    keep: float | None
    keep_result: bool | None
    # Of wings, which check them.
    limit: Any
    fair: Any
    schedule: Any
    keep_logs: Any


@overload
def task(function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...


@overload
def task(
    *, takes_context: Literal[True], **given: Unpack[_Options]
) -> _ContextDecorator: ...


@overload
def task(
    *, takes_context: Literal[False] = ..., **given: Unpack[_Options]
) -> _Decorator: ...


def task(function: Callable[..., Any] | None = None, /, **given: Any) -> Any:
    """Make a task of a module-level function, sync or async.

    The same on every supported Django, whatever backend TASKS names.

    queue_name: the queue it waits in; default "default".
    priority: -100 to 100, higher first; default 0.
    backend: an alias in TASKS; default "default".
    takes_context: pass a JobContext as the first argument, `context`; default False.
    max_attempts: attempts that may fail; default DBQUEUE["MAX_ATTEMPTS"].
    backoff: seconds to wait after a failure, a sequence of them, or a function of
        (exception, task_result) that returns seconds, or None to give up; default
        exponential with jitter (see dbqueue.backoff).
    retry_on: the exception classes that are retried; default all.
    give_up_on: exception classes that fail the job at once; default none.
    timeout: seconds it may run, math.inf for no limit; default DBQUEUE["TIMEOUT"].
    atomic: run inside a transaction that the finish is part of; default False.
    codec: "json", or "typed" for arguments and results that may also be dates, times,
        decimals, UUIDs and model instances; default OPTIONS["codec"] of the backend.
    unique: a Unique, which keeps it from being enqueued twice; default None.
    expires: seconds or a timedelta from the enqueue, or a moment, after which the job
        is not started any more, but CANCELLED; default None.
    aliases: dotted paths that the task had before, whose jobs it runs; default none.
    keep: seconds that its finished jobs are kept, math.inf for ever; default as
        DBQUEUE says.
    keep_result: False keeps nothing of what it returns; default True.
    keep_logs: True keeps what its jobs log from INFO on, or a level from which on;
        default False.

    Raises InvalidTask, InvalidTaskBackend for an unknown `backend`, and TypeError for
    an unknown option.
    """
    unknown = given.keys() - _OPTIONS
    extra = _options_of_wings(unknown) if unknown else {}
    more = {name: given.pop(name) for name in extra}

    def decorate(func: Callable[..., Any]) -> Task[..., Any]:
        declared: Task[..., Any] = Task(func=func, **DJANGO_DEFAULTS | given)
        _declare(declared)
        for name, value in more.items():
            extra[name](declared, value)
        return declared

    return decorate if function is None else decorate(function)


def _options_of_wings(
    names: Collection[str],
) -> dict[str, Callable[[Task[..., Any], Any], object]]:
    """Return what the wings do with a task that is declared with these options.

    Raises TypeError for a name that no wing's `options` module has in its OPTIONS.
    """
    known: dict[str, Any] = {}
    for module in wings.modules("options"):
        known |= module.OPTIONS
    for name in sorted(names):
        if name not in known:
            near = conf.nearest(name, _OPTIONS | known.keys())
            raise TypeError(f"task() has no option {name!r}.{near}")
    return {name: known[name] for name in names}


def _declare(declared: Task[..., Any]) -> None:
    path = declared.module_path
    first = declared_tasks.get(path)
    # Another function at the path is the same one after a reload of its module.
    if first is not None and unwrap(first.func) is unwrap(declared.func):
        _demand_same_options(first, declared)
    _declare_aliases(declared)
    declared_tasks[path] = declared


def _declare_aliases(declared: Task[..., Any]) -> None:
    path = declared.module_path
    for alias in declared.aliases:
        other = declared_tasks.get(alias) or declared_aliases.get(alias, declared)
        if other.module_path != path:
            raise InvalidTask(
                f"aliases of {path!r} has {alias!r}, which is "
                f"{'an alias of ' if alias in declared_aliases else ''}"
                f"{other.module_path!r}. Each old path leads to one task."
            )
        declared_aliases[alias] = declared
    if path in declared_aliases and declared_aliases[path].module_path != path:
        raise InvalidTask(
            f"{path!r} is an alias of {declared_aliases[path].module_path!r}. Remove "
            "the alias, or rename the task."
        )


def _demand_same_options(first: Task[..., Any], second: Task[..., Any]) -> None:
    other = [
        name
        for name in sorted(_OPTIONS)
        if getattr(first, name) != getattr(second, name)
    ]
    if other:
        one, two = (
            ", ".join(f"{name}={getattr(task, name)!r}" for name in other)
            for task in (first, second)
        )
        raise InvalidTask(
            f"{second.module_path!r} is declared twice, with {one} and with {two}; a "
            "worker would find only one of them. Give each a function of its own."
        )


_OPTIONS = {f.name for f in dataclasses.fields(Task)} - {"func", "job_id", "run_after"}
# What @task made, by dotted path: a decorated function may hide behind another name.
declared_tasks: dict[str, Task[..., Any]] = {}
# The same, by the paths that they had before.
declared_aliases: dict[str, Task[..., Any]] = {}
