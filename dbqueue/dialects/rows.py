"""What passes between the queue and the database, free of models and of SQL."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be written; args, kwargs and context are JSON text."""

    id: UUID
    task: str
    queue_name: str
    priority: int
    backend: str
    max_attempts: int
    args: str
    kwargs: str
    context: str
    run_after: datetime | None = None
    delay: float | None = None  # seconds from now, by the database's clock


class Calls(NamedTuple):
    """What differs between jobs that are written together, by column."""

    ids: list[str]  # 32 hexadecimal digits
    args: list[str]  # JSON text, as in NewJob
    kwargs: list[str]

    def part(self, first: int, end: int) -> "Calls":
        """Return the calls from `first` to before `end`."""
        ids, args, kwargs = self
        return Calls(ids[first:end], args[first:end], kwargs[first:end])


class Written(NamedTuple):
    """What the database decided when it wrote a job, or several in one statement."""

    state: str
    enqueued_at: datetime
    run_after: datetime | None


class HeldJob(NamedTuple):
    """A running job as its rescuer sees it."""

    id: UUID
    worker_id: UUID
    attempt: int
    failures: int
    max_attempts: int
    task: str
    last_attempted_at: datetime


class ClaimedJob(NamedTuple):
    """A job this worker holds; the JSON columns are text, not yet trusted."""

    id: UUID
    task: str
    queue_name: str
    priority: int
    backend: str
    attempt: int
    failures: int
    max_attempts: int
    args: str
    kwargs: str
    context: str
    progress: str | None
    attempt_log: str
    enqueued_at: datetime
    run_after: datetime | None
    started_at: datetime
    last_attempted_at: datetime

    def held_by(self, worker_id: UUID) -> HeldJob:
        """Return the job as a rescuer of this worker would see it."""
        return HeldJob(
            self.id,
            worker_id,
            self.attempt,
            self.failures,
            self.max_attempts,
            self.task,
            self.last_attempted_at,
        )


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How one attempt ended; (id, attempt) and the worker's id are the fence."""

    id: UUID
    attempt: int
    # SUCCESSFUL, FAILED or CANCELLED ends the job; READY gives it back to the queue.
    state: str
    result: str | None = None  # JSON text
    record: dict[str, Any] | None = None  # for the attempt log
    failed: int = 0  # failures to add
    delay: float = 0.0  # seconds until a job given back is due
    duration: float | None = None  # seconds the attempt ran

    @property
    def is_untouched(self) -> bool:
        """Whether the job goes back as it came, without having begun."""
        return self.state == "READY" and self.record is None


LOWEST, HIGHEST = -32_768, 32_767  # what a smallint priority can be


class Target(NamedTuple):
    """One stretch of the ready index to claim from; by default a whole queue."""

    queue: str
    lowest: int = LOWEST  # priority
    highest: int = HIGHEST  # priority
    after: UUID | None = None  # ids up to this one were taken before

    def is_whole(self) -> bool:
        return self == Target(self.queue)


class Standing(NamedTuple):
    """How many jobs of a state stand in a queue; READY ones come by priority."""

    state: str
    queue_name: str
    jobs: int
    wait: float | None  # seconds that one of them is READY by now, the longest


class Outlook(NamedTuple):
    """What an idle worker has to know of the queue."""

    ready: bool  # whether any job is READY
    due: float | None  # seconds until the next SCHEDULED job is due, None without one


class Head(NamedTuple):
    """The first ready job of a queue."""

    queue_name: str
    priority: int
    id: UUID
