"""The types that speak of a job: its result, and how far it is."""

import dataclasses
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Self

from dbqueue import wings
from dbqueue.dialects.columns import LOG_LENGTH
from dbqueue.tasks.framework import (
    AnyResult,
    GenericResult,
    TaskError,
    TaskResultStatus,
)
from dbqueue.tasks.moves import Movable, twin

if TYPE_CHECKING:  # the default, for a plain `JobResult`, is new in Python 3.13
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")

STATUS = {
    "SCHEDULED": TaskResultStatus.READY,
    "BLOCKED": TaskResultStatus.READY,
    "PAUSED": TaskResultStatus.READY,
    "READY": TaskResultStatus.READY,
    "RUNNING": TaskResultStatus.RUNNING,
    "SUCCESSFUL": TaskResultStatus.SUCCESSFUL,
    "FAILED": TaskResultStatus.FAILED,
    "CANCELLED": TaskResultStatus.FAILED,  # django.tasks has no word for it
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job says it is."""

    value: float
    total: float | None = None
    message: str = ""
    # Until its end, as track() expects; as of when the rest was said.
    seconds_left: float | None = field(default=None, repr=False)
    # What the task tells code, and shows to nobody.
    details: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def percent(self) -> int | None:
        """How far it is, from 0 to 100; None without a total above 0."""
        try:
            return max(0, min(100, int(self.value * 100 // (self.total or 0))))
        except (ArithmeticError, TypeError, ValueError):  # of a damaged row
            return None


# What a refresh leaves as it is.
_FIXED = ("task", "id", "args", "kwargs", "backend", "was_enqueued")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(Movable, GenericResult[Any, R], Generic[R]):  # type: ignore[misc]  # frozen, but not in the stubs
    """A TaskResult that also knows the job's own state and its progress."""

    state: str  # a JobState; `status` has only the four of django.tasks
    attempt: int = 0  # how often the job was claimed; the fence
    progress: Progress | None = None
    # False if another job stood already, and this is the result of that one.
    was_enqueued: bool = True

    # Django's would check the arguments: they were checked already, or read from JSON.
    __post_init__ = object.__init__  # type: ignore[misc]  # it takes no arguments

    @property
    def attempts(self) -> int:
        """How often the job has begun; past LOG_LENGTH, how often it was claimed."""
        begun = len(self.worker_ids)
        return begun if begun <= LOG_LENGTH else max(begun, self.attempt)

    def refresh(self) -> None:
        """Reload from the database. Raises TaskResultDoesNotExist if pruned."""
        self.update_from(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self.update_from(await self.task.get_backend().aget_result(self.id))

    def logs(self) -> list[Any]:
        """Return what the job has logged so far, if its task says `keep_logs`.

        Each is a dbqueue.logs.lines.LogLine: `attempt`, `at`, `level`, `logger` and
        `message`, of the latest ten attempts, in order. Those of an attempt that runs
        are a few seconds old.
        """
        found: list[Any] = wings.attribute("results", "logs")(self)
        return found

    alogs = twin(logs)

    def public_token(
        self, *scopes: str, max_age: float | timedelta | None = None
    ) -> str:
        """Return a signed text by which anybody may see how far the job is.

        `scopes` are of "status", "result" and "cancel"; default the first two.
        `max_age` is in seconds; default TOKEN_AGE of PROGRESS. Raises ValueError for an
        unknown scope.
        """
        token: str = wings.attribute("results", "public_token")(self, scopes, max_age)
        return token

    def wait(
        self, timeout: float | timedelta | None = None, *, allow_in_job: bool = False
    ) -> Self:
        """Wait until the job has ended, reload this result, and return it.

        Raises TimeoutError if that takes longer than `timeout`, in seconds or a
        timedelta, default no limit. Raises CannotWait inside a transaction, where the
        job may not even begin, and inside a job without `allow_in_job`: jobs that wait
        for jobs hold all slots, in the end. Raises TaskResultDoesNotExist if the record
        is deleted meanwhile.
        """
        chosen: Any = self._chosen()
        self.update_from(chosen.wait(timeout, allow_in_job=allow_in_job))
        return self

    async def await_result(
        self, timeout: float | timedelta | None = None, *, allow_in_job: bool = False
    ) -> Self:
        """See wait()."""
        chosen: Any = self._chosen()
        self.update_from(await chosen.await_result(timeout, allow_in_job=allow_in_job))
        return self

    def _chosen(self) -> Movable:
        backend: Any = self.task.get_backend()
        chosen: Movable = backend.choose(self.id)
        return chosen

    def update_from(self, fresh: AnyResult) -> None:
        """Take over all that may have changed since the job was enqueued."""
        for item in dataclasses.fields(self):
            if item.name not in _FIXED:
                object.__setattr__(self, item.name, getattr(fresh, item.name))


def progress_of(stored: Any) -> Progress | None:
    """Return the progress that a row holds; None too if it was damaged by hand."""
    try:
        return Progress(**stored) if stored else None
    except TypeError:
        return None


def task_error(entry: dict[str, Any]) -> TaskError:
    """Return the error that an entry of the attempt log records."""
    return TaskError(
        exception_class_path=entry["exception"], traceback=entry.get("traceback", "")
    )
