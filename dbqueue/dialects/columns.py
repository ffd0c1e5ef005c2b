"""The columns of a job: one list, from which the statements and the rows follow.

A new column that enqueue() writes, a worker gets and the history keeps is one line in
JobColumns, besides the model and a migration.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

# The order in which ready jobs of a queue are claimed, as the ORM and as SQL say it. It
# is by the database's clock: ids are chosen, or made by the clocks of many hosts. They
# only decide between jobs of one statement.
ORDER = ("-priority", "enqueued_at", "id")
ORDER_BY = "priority DESC, enqueued_at, id"
# The same for rows, by two sorts: the first within a priority, and then of priorities.
BY_AGE = attrgetter("enqueued_at", "id.int")
BY_PRIORITY = attrgetter("priority")

# Attempt records that a job keeps: the first and the latest.
LOG_LENGTH = 50
EXCEPTION_LENGTH = 255  # characters of the path of a class, as its column holds


@dataclass(slots=True)
class JobColumns:
    """What is written once, at enqueue; the JSON columns are text."""

    id: UUID
    task: str
    queue_name: str
    priority: int
    backend: str
    max_attempts: int
    args: str
    kwargs: str
    context: str


@dataclass(slots=True)
class NewJob(JobColumns):
    """A job to be written, due at a moment, after a delay, or else at once."""

    run_after: datetime | None = None
    delay: float | None = None  # seconds from now, by the database's clock
    # Columns that few jobs have, as wings give them; see jobs.insert.shapes.
    more: Mapping[str, Any] | None = None
    # Of a unique job, whose key is in `more`: a placing.Rule.
    rule: Any = None


@dataclass(slots=True)
class ClaimedJob(JobColumns):
    """A job this worker holds; the JSON columns are text, not yet trusted."""

    attempt: int
    failures: int
    progress: str | None
    attempt_log: str
    lane: str | None
    fair_group: str | None
    enqueued_at: datetime
    run_after: datetime | None
    started_at: datetime
    last_attempted_at: datetime
    # Why it must not run: "known", as the history has its chosen id, "expired", or
    # "paused", as its task is; then it is not held any more.
    fate: str | None = None
    # No columns: the bytes of what was loaded after the claim, and what is wrong.
    weight: int = 0
    damage: str = ""

    @property
    def gate(self) -> str | None:
        """What others of its lane wait for; None if it has no lane."""
        return self.fair_group or self.lane

    def held_by(self, worker_id: UUID) -> "HeldJob":
        """Return the job as a rescuer of this worker would see it."""
        return HeldJob(
            self.id,
            worker_id,
            self.attempt,
            self.failures,
            self.max_attempts,
            self.task,
            self.last_attempted_at,
            self.queue_name,
            self.lane,
            self.fair_group,
            None,
            None,
            None,
            self.context,
            self.attempt_log,
        )


class HeldJob(NamedTuple):
    """A running job as its rescuer sees it."""

    id: UUID
    worker_id: UUID
    attempt: int
    failures: int
    max_attempts: int
    task: str
    last_attempted_at: datetime
    queue_name: str
    lane: str | None
    fair_group: str | None
    cancelled_at: datetime | None  # since when it is to stop for good
    cancelled_by: str | None
    cancel_reason: str | None
    # JSON text, not yet trusted.
    context: str
    attempt_log: str

    @property
    def gate(self) -> str | None:
        return self.fair_group or self.lane


def _names(kind: type[JobColumns]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


WRITTEN = _names(JobColumns)
JSON = ("args", "kwargs", "context")
# What an INSERT fills: what was written, and what the database makes of it.
INSERTED = (
    *WRITTEN,
    *("state", "attempt", "failures", "attempt_log", "enqueued_at", "run_after"),
)
CLAIMED = _names(ClaimedJob)[:-3]
# What may be large, and is then loaded after the claim: more than these bytes of text.
LARGE = ("args", "kwargs", "context", "attempt_log")
MOST_CLAIMED = 8192
# The moments among them, which come last.
MOMENTS = ("enqueued_at", "run_after", "started_at", "last_attempted_at")
# What moves unchanged from the hot table to the history; JSON may have been damaged.
CARRIED = (
    *(name for name in WRITTEN if name not in JSON),
    *("attempt", "worker_id", "progress", *MOMENTS),
    *("lane", "fair_group", "retry_of", "unique_key", "unique_until"),
)


def in_order(row: Any) -> tuple[int, datetime, UUID]:
    """Return what sorts ready jobs as ORDER does."""
    return -row.priority, row.enqueued_at, row.id


def inserted(**special: str) -> str:
    """Return the values of an INSERT into INSERTED, as SQL.

    What has no expression of its own is the parameter of its name.
    """
    return ", ".join(special.get(name, f"%({name})s") for name in INSERTED)


def as_object(job: NewJob, **special: Any) -> str:
    """Return what was written of a job as the text of an object of JSON."""
    values = {name: getattr(job, name) for name in WRITTEN} | special
    texts = (
        value if name in JSON else json.dumps(value, default=str)
        for name, value in values.items()
    )
    parts = (f'"{name}":{text}' for name, text in zip(values, texts, strict=True))
    return f"{{{','.join(parts)}}}"


def claimed(is_short: str, moment: str = "{name}") -> str:
    """Return what a claim brings, as SQL; of LARGE, what `is_short` says of {name}."""
    ways = dict.fromkeys(LARGE, f"CASE WHEN {is_short} THEN {{name}} END")
    ways |= dict.fromkeys(MOMENTS, moment)
    return ", ".join(ways.get(name, "{name}").format(name=name) for name in CLAIMED)


def listed(names: tuple[str, ...]) -> str:
    """Return the names as SQL lists them."""
    return ", ".join(names)
