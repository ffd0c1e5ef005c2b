"""What may be done to a job from outside, and the answer to it."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
R = TypeVar("R")

MOST_IDS = 10_000  # that an answer lists
_DONE = {
    "cancel": "cancelled",
    "retry": "retried",
    "run_now": "made due",
    "reschedule": "rescheduled",
    "move_to": "moved",
    "set_priority": "given the priority",
    "discard": "discarded",
}


@dataclass(slots=True, kw_only=True)
class Moved:
    """What a move did, and what it skipped and why; false if it did nothing.

    `skipped` counts jobs by the state that forbade the move, in small letters, such as
    "running"; or "unknown", of which there is no job; or "busy", that others changed at
    the same time; or "unique", whose key another job has by now. `ids` are those of the
    jobs that were moved, the first 10,000 of them; of a retry with other arguments,
    those of the new jobs.
    """

    move: str
    done: int = 0
    asked: int = 0  # running jobs that were asked to stop
    skipped: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.done or self.asked)

    def __str__(self) -> str:
        words = [f"{self.done:,} {_DONE.get(self.move, self.move)}"]
        if self.asked:
            words.append(f"{self.asked:,} asked to stop")
        if self.skipped:
            why = (f"{count:,} {reason}" for reason, count in self.skipped.items())
            words.append(f"{sum(self.skipped.values()):,} skipped ({', '.join(why)})")
        return ", ".join(words)

    def add(self, other: "Moved") -> None:
        """Count what another step of the same move did."""
        self.done += other.done
        self.asked += other.asked
        for reason, count in other.skipped.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + count
        self.ids += other.ids[: MOST_IDS - len(self.ids)]


def twin(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the same for async code."""

    @wraps(function)
    async def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        return await sync_to_async(function)(*args, **kwargs)

    ask.__name__ = f"a{function.__name__}"
    ask.__qualname__ = ask.__name__
    ask.__doc__ = f"See {function.__name__}()."
    return ask


class Movable:
    """The moves of one job; each is one guarded statement, and tells what it did.

    What is known here of the job stays as it was: call refresh() to see the change.
    """

    __slots__ = ()

    def cancel(self, *, reason: str = "", by: str = "") -> Moved:
        """End the job as CANCELLED; ask it to stop if it runs.

        `reason`, and `by`, who wants it, are for the record.
        """
        return self._chosen().cancel(reason=reason, by=by)

    def retry(
        self,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Moved:
        """Run a finished job again, under the same id, with no failures.

        With other `args` or `kwargs`, enqueue a new job in its queue, which says
        `retry_of`; raises WrongArguments and what else enqueue() raises.
        """
        return self._chosen().retry(args=args, kwargs=kwargs)

    def run_now(self) -> Moved:
        """Make a scheduled job due."""
        return self._chosen().run_now()

    def reschedule(self, run_after: datetime | timedelta) -> Moved:
        """Have a job that waits run at that moment, or so long from now.

        Raises InvalidTask for what is neither.
        """
        return self._chosen().reschedule(run_after)

    def move_to(self, queue_name: str) -> Moved:
        """Put a job that waits into another queue. Raises InvalidTask for its name."""
        return self._chosen().move_to(queue_name)

    def set_priority(self, priority: int) -> Moved:
        """Give a job that waits another priority, from -100 to 100.

        Raises InvalidTask for another number.
        """
        return self._chosen().set_priority(priority)

    def discard(self) -> Moved:
        """Delete the record of a finished job."""
        return self._chosen().discard()

    acancel = twin(cancel)
    aretry = twin(retry)
    arun_now = twin(run_now)
    areschedule = twin(reschedule)
    amove_to = twin(move_to)
    aset_priority = twin(set_priority)
    adiscard = twin(discard)

    def _chosen(self) -> "Movable":
        """Return the job as a Selection, which has the same moves."""
        raise NotImplementedError
