"""JobContext; and values that travel with a job, bound where it is enqueued.

For trace ids, a request id, a user's id. Jobs enqueued by a job inherit them.
"""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from dbqueue import wings
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.exceptions import InvalidPayload
from dbqueue.tasks import payload
from dbqueue.tasks.framework import AnyContext
from dbqueue.tasks.moves import twin

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Values under keys with this beginning are of the job alone: no other inherits them.
OWN = "dbqueue."
SCHEDULE = f"{OWN}schedule"

# What bind_context() has bound here; unset where it has bound nothing.
bound: ContextVar[dict[str, Any]] = ContextVar("dbqueue_context")
# The job that runs here; unset outside of one.
running: ContextVar[ClaimedJob] = ContextVar("dbqueue_job")


def current_context() -> dict[str, Any]:
    """Return a copy of the values bound here, or brought along by the running job.

    What bind_context() has a function for is not among them before it is a job's.
    """
    return {key: v for key, v in bound.get({}).items() if not callable(v)}


@contextmanager
def bind_context(**values: Any) -> Iterator[None]:
    """Add values to the context of every job enqueued inside the block.

    A function is called for its value when a job is enqueued; None leaves it out.
    Raises InvalidPayload for a value that is not JSON.
    """
    checked = {
        payload.check_key(key, "The context"): value
        if callable(value)
        else _normal(key, value)
        for key, value in values.items()
    }
    token = bound.set({**bound.get({}), **checked})
    try:
        yield
    finally:
        bound.reset(token)


def restore(values: dict[str, Any]) -> None:
    """Bind what a job brought along, until its own contextvars context ends."""
    bound.set({key: values[key] for key in values if not key.startswith(OWN)})


def own(key: str) -> Any:
    """Return what the job that runs here brought for itself alone; None outside."""
    job = running.get(None)
    if job is None or key not in job.context:
        return None
    return payload.read(job, "context", dict).get(key)


def dumped() -> str:
    """Return the bound values as JSON text."""
    values = bound.get({})
    if any(map(callable, values.values())):
        values = dict(_called(values))
    return payload.dump(values, "The context") if values else "{}"


def _called(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if not callable(value):
            yield key, value
        elif (found := value()) is not None:
            yield key, _normal(key, found)


def _normal(key: str, value: Any) -> payload.Json:
    return payload.normalize(value, f"Context value {key!r}")


class Rows(Protocol[T_co]):
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

    def replace_arguments(self, *args: Any, **kwargs: Any) -> None:
        """Have the attempts after this one run with other arguments.

        For a Retry that goes on elsewhere. Written at once, under the claim; the lane
        and the key of the job stay. Raises what enqueue() raises for arguments, and
        ClaimLost if the job was taken over.
        """
        result: Any = self.task_result
        result.task.get_backend().replace_arguments(result, args, kwargs)

    def set_progress(
        self,
        value: float,
        total: float | None = None,
        message: str = "",
        *,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Say how far the job is; stored within about half a second, the latest wins.

        `value` counts towards `total`, in units of the task's choice. `details` are for
        code that reads the progress, and are shown to nobody. Raises InvalidPayload for
        what is not a JSON number, or not JSON.
        """
        self._say(value, total, message, details=details)

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
        details: Mapping[str, Any] | None = None,
    ) -> None:
        progress: dict[str, Any] = {
            "value": _number(value, "The progress"),
            "total": None if total is None else _number(total, "The total"),
            "message": payload.printable(str(message))[:500],
        }
        if seconds_left is not None:
            progress["seconds_left"] = seconds_left
        if details is not None:
            progress["details"] = payload.normalize(details, "The details")
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
