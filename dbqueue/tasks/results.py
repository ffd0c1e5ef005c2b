"""The types that speak of a job: its result, and the context of one that runs."""

import dataclasses
import typing
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Self

from dbqueue import wings
from dbqueue.dialects.columns import LOG_LENGTH
from dbqueue.exceptions import InvalidPayload
from dbqueue.tasks import payload
from dbqueue.tasks.context import SCHEDULE, current_context, own
from dbqueue.tasks.framework import (
    AnyContext,
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

T = typing.TypeVar("T")
T_co = typing.TypeVar("T_co", covariant=True)

STATUS = {
    "SCHEDULED": TaskResultStatus.READY,
    "BLOCKED": TaskResultStatus.READY,
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

    @property
    def percent(self) -> int | None:
        """How far it is, from 0 to 100; None without a total above 0."""
        try:
            return max(0, min(100, int(self.value * 100 // (self.total or 0))))
        except (ArithmeticError, TypeError, ValueError):  # of a damaged row
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(Movable, GenericResult[Any, R], Generic[R]):  # type: ignore[misc]  # frozen, but not in the stubs
    """A TaskResult that also knows the job's own state and its progress."""

    state: str  # a JobState; `status` has only the four of django.tasks
    attempt: int = 0  # how often the job was claimed; the fence
    progress: Progress | None = None

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
            if item.name not in ("task", "id", "args", "kwargs", "backend"):
                object.__setattr__(self, item.name, getattr(fresh, item.name))


class Rows(typing.Protocol[T_co]):
    """What is gone through by `for`, or by `async for`."""

    def __iter__(self) -> Iterator[T_co]: ...

    def __aiter__(self) -> AsyncIterator[T_co]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The moment of a schedule for which a job was enqueued."""

    name: str  # of the schedule
    scheduled_for: datetime
    # The one before for which a job was enqueued.
    previous: datetime | None = None
    # Whether somebody asked for it, now; then it is no tick of the schedule.
    manual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(AnyContext):  # type: ignore[misc]  # frozen, but not in the stubs
    """The first argument of a task with `takes_context=True`."""

    _attempts_left: int = field(repr=False, compare=False)
    _is_cancelled: Callable[[], bool] = field(repr=False, compare=False)
    _note: Callable[[str], None] = field(repr=False, compare=False)
    _finishing: Callable[[Any], AbstractContextManager[None]] = field(
        repr=False, compare=False
    )

    @property
    def context(self) -> dict[str, Any]:
        """The values that were bound where the job was enqueued."""
        return current_context()

    @property
    def is_last_attempt(self) -> bool:
        """Tell whether the job is FAILED if this attempt fails."""
        return self._attempts_left <= 1

    @property
    def schedule(self) -> Tick | None:
        """The tick of a schedule for which the job was enqueued; None for others."""
        kept = own(SCHEDULE)
        if not isinstance(kept, dict):
            return None
        moments = {
            name: kept.get(name) and datetime.fromisoformat(kept[name])
            for name in ("scheduled_for", "previous")
        }
        return Tick(**{**kept, **moments})

    @property
    def cancelled(self) -> bool:
        """Tell whether somebody has cancelled the job while it runs.

        A job that was told so, and returns or raises, is CANCELLED. One that does not
        ask is stopped a moment later.
        """
        return self._is_cancelled()

    def set_progress(
        self, value: float, total: float | None = None, message: str = ""
    ) -> None:
        """Say how far the job is; stored within about half a second, the latest wins.

        `value` counts towards `total`, in units of the task's choice. Raises
        InvalidPayload for what is not a JSON number.
        """
        self._say(value, total, message)

    def track(
        self,
        rows: Iterable[T] | AsyncIterable[T],
        total: float | None = None,
        message: str | Callable[[T], str] = "",
    ) -> Rows[T]:
        """Go through the rows, by `for` or `async for`, and say how far the job is.

        `total` is how many there are, by default their len(), if they have one: then
        the time left is told, too. `message` is shown beside it, or makes that of a
        row. Raises what set_progress() raises.
        """
        tracked: Rows[T] = wings.attribute("results", "track")(
            self._say, rows, total, message
        )
        return tracked

    def _say(
        self,
        value: float,
        total: float | None = None,
        message: str = "",
        seconds_left: float | None = None,
    ) -> None:
        progress = {
            "value": _number(value, "The progress"),
            "total": None if total is None else _number(total, "The total"),
            "message": payload.printable(str(message))[:500],
        }
        if seconds_left is not None:
            progress["seconds_left"] = seconds_left
        self._note(payload.dump(progress, "The progress"))

    def attach(
        self, name: str, file: Any, *, content_type: str = "", keep: float | None = None
    ) -> Any:
        """Store a file that whoever waits for the job may download.

        `file` is bytes, text, a path, an open file or a Django File; another one of the
        same `name` takes its place. `content_type` is by default that of the name.
        `keep` is in seconds; default KEEP_FILES of PROGRESS. Returns the JobFile.
        Raises ValueError for the name, ClaimLost if the job was taken over, and what
        the storage raises.
        """
        return wings.attribute("results", "attach")(
            self, name, file, content_type=content_type, keep=keep
        )

    aattach = twin(attach)

    def finishing(self, result: Any = None) -> AbstractContextManager[None]:
        """Return a transaction on the queue's database that ends with the job's end.

        What is written inside it commits together with the job as SUCCESSFUL with
        `result`, or not at all: exactly once, however long the job ran before. It is
        for sync tasks, once, as the last step. Raises ClaimLost, having rolled back, if
        the job was taken over; InvalidPayload for a result that is not JSON.
        """
        return self._finishing(result)


def _number(value: Any, where: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidPayload(f"{where} is {value!r:.200}; it must be a number.")
    return payload.normalize(value, where)


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
