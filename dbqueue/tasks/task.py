"""Tasks: module-level functions with the options of their jobs."""

import dataclasses
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from uuid import UUID

from django.utils import timezone

from dbqueue import conf
from dbqueue.backoff import Backoff
from dbqueue.exceptions import UserVisibleError
from dbqueue.tasks import framework, options
from dbqueue.tasks.framework import GenericTask
from dbqueue.tasks.unique import Unique

if TYPE_CHECKING:
    from dbqueue.tasks.results import JobResult

P = ParamSpec("P")
R = TypeVar("R")


# Without slots, so that a test may replace a method of one task.
@dataclass(frozen=True, kw_only=True, eq=False)
class Task(GenericTask[P, R], Generic[P, R]):
    """A django.tasks Task that also says how it is retried, limited and committed."""

    run_after: datetime | timedelta | None = None  # type: ignore[assignment]  # wider
    # Attempts that may fail; None = DBQUEUE["MAX_ATTEMPTS"].
    max_attempts: int | None = None
    # Seconds to wait after a failure; None = exponential with jitter.
    backoff: Backoff | None = None
    # Only these exceptions are retried; empty = all of them.
    retry_on: tuple[type[BaseException], ...] = ()
    # These exceptions fail the job at once.
    give_up_on: tuple[type[BaseException], ...] = ()
    # Seconds the job may run; None = DBQUEUE["TIMEOUT"].
    timeout: float | None = None
    # Run inside a transaction whose last statement is the fenced finish.
    atomic: bool = False
    # "json" or "typed"; None = as OPTIONS of the backend say.
    codec: str | None = None
    # What keeps it from being enqueued twice.
    unique: Unique | None = None
    # Past it, it is not started: seconds from the enqueue, or a moment.
    expires: float | timedelta | datetime | None = None
    # Dotted paths that it had before, and by which jobs may still wait.
    aliases: tuple[str, ...] = ()
    # Seconds that its finished jobs stay in the history; None = as DBQUEUE says.
    keep: float | None = None
    # Whether what it returns is kept; None = yes.
    keep_result: bool | None = None
    # Chosen by the caller, it makes a repeated enqueue idempotent.
    job_id: UUID | None = None

    def __post_init__(self) -> None:
        for name in ("retry_on", "give_up_on"):
            classes = options.exception_classes(name, getattr(self, name))
            object.__setattr__(self, name, classes)
        object.__setattr__(self, "aliases", options.paths("aliases", self.aliases))
        options.check_backend(self.backend)
        options.check(self)
        if isinstance(self.backoff, list):  # a Task is hashable, a list is not
            object.__setattr__(self, "backoff", tuple(self.backoff))
        # A backend that is not ours knows no timedelta, though Django documents it.
        if isinstance(self.run_after, timedelta) and not _is_ours(self):
            object.__setattr__(self, "run_after", timezone.now() + self.run_after)
        super().__post_init__()

    def __eq__(self, other: object) -> bool:
        # Declared while TASKS named a backend that is not ours, it is Django's own.
        if not isinstance(other, framework.Task):
            return NotImplemented
        return all(
            getattr(self, name) == getattr(other, name, default)
            for name, default in _DEFAULTS.items()
        )

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, field.name) for field in _DJANGOS))

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        job_id: UUID | str | None = None,
        expires: float | timedelta | datetime | None = None,
        unique: Unique | None = None,
    ) -> "Task[P, R]":
        """Return a copy with other settings for the next enqueue.

        `priority` is a whole number from -100 to 100, higher first. `run_after` is an
        aware datetime, or a timedelta counted from the enqueue. `job_id` is a UUID of
        the caller's choice: enqueueing it again returns the job that has it.
        `expires` is a number of seconds, a timedelta or an aware datetime after which
        the job is not started any more. `unique` is as of `@task`.
        Raises InvalidTask and InvalidTaskBackend.
        """
        changes: dict[str, Any] = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
            "job_id": None if job_id is None else options.job_id(job_id),
            "expires": expires,
            "unique": unique,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(self, **given)

    if TYPE_CHECKING:  # what our backend returns, and Django's methods hand on

        def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobResult[R]: ...

        async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> JobResult[R]: ...

        def get_result(self, result_id: str) -> JobResult[R]: ...

        async def aget_result(self, result_id: str) -> JobResult[R]: ...

    @property
    def is_async(self) -> bool:
        return iscoroutinefunction(self.func)

    @property
    def attempts_allowed(self) -> int:
        return self.max_attempts or conf.current().max_attempts

    @property
    def seconds_allowed(self) -> float | None:
        seconds = conf.current().timeout if self.timeout is None else self.timeout
        return None if seconds == math.inf else seconds

    def may_retry(self, exception: BaseException) -> bool:
        """Tell whether the options allow another attempt after this exception."""
        if isinstance(exception, self.give_up_on):
            return False
        if isinstance(exception, UserVisibleError) and not exception.retry:
            return False
        return not self.retry_on or isinstance(exception, self.retry_on)


def _set(task: Task[..., Any], name: str, value: Any) -> None:
    _refuse_fields(name)
    object.__setattr__(task, name, value)


def _delete(task: Task[..., Any], name: str) -> None:
    _refuse_fields(name)
    object.__delattr__(task, name)


def _refuse_fields(name: str) -> None:
    if name in _DEFAULTS or not hasattr(Task, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


# Its options are frozen, but mock.patch.object(task, "enqueue") may have its way.
setattr(Task, "__setattr__", _set)  # noqa: B010  dataclass() allows none of its own
setattr(Task, "__delattr__", _delete)  # noqa: B010


def _is_ours(task: Task[..., Any]) -> bool:
    return getattr(task.get_backend(), "task_class", None) is Task


def stored(task: Task[..., Any], **values: Any) -> Task[..., Any]:
    """Return a copy with the values of a stored job, which are not checked again.

    The settings may have changed since: jobs of a queue that was removed stay readable.
    """
    if all(getattr(task, name) == value for name, value in values.items()):
        return task  # it is immutable
    return unchecked(**{name: getattr(task, name) for name in _DEFAULTS} | values)


def unchecked(**values: Any) -> Task[..., Any]:
    """Return a task whose options are checked when it is enqueued, not before."""
    task: Task[..., Any] = object.__new__(Task)
    for name, value in (_DEFAULTS | values).items():
        object.__setattr__(task, name, value)
    return task


# Of the options that Django's own @task has.
DJANGO_DEFAULTS: dict[str, Any] = {
    "priority": framework.DEFAULT_TASK_PRIORITY,
    "backend": framework.DEFAULT_TASK_BACKEND_ALIAS,
    "queue_name": framework.DEFAULT_TASK_QUEUE_NAME,
    "takes_context": False,
}
_DJANGOS = dataclasses.fields(framework.Task)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Task)}
