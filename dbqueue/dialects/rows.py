"""What passes between the queue and the database, free of models and of SQL."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from dbqueue.dialects.columns import NewJob

logger = logging.getLogger(__name__)


class Calls(NamedTuple):
    """What differs between jobs that are written together, by column."""

    ids: list[str]  # 32 hexadecimal digits
    args: list[str]  # JSON text, as in NewJob
    kwargs: list[str]
    # Columns that few jobs have, by their names: text or None for each call.
    more: Mapping[str, list[str | None]] = MappingProxyType({})

    def chunks(self, most: int, bytes: int) -> list[int]:
        """Return where chunks of at most `most` calls begin.

        They have about `bytes` of JSON, if a single call does not have more.
        """
        sizes = list(map(len, self.args)), list(map(len, self.kwargs))
        if sum(map(sum, sizes)) <= bytes:
            return list(range(0, len(self.ids), most))
        starts, total = [0], 0
        for place, size in enumerate(map(sum, zip(*sizes, strict=True))):
            total += size
            if place > starts[-1] and (total > bytes or place - starts[-1] == most):
                starts.append(place)
                total = size
        return starts

    def of(self, places: Sequence[int]) -> "Calls":
        """Return the calls at these places."""
        ids, args, kwargs, more = self
        some = {name: [values[p] for p in places] for name, values in more.items()}
        ids, args, kwargs = ([c[p] for p in places] for c in (ids, args, kwargs))
        return Calls(ids, args, kwargs, some)

    def part(self, first: int, end: int | None) -> "Calls":
        """Return the calls from `first` to before `end`."""
        ids, args, kwargs, more = self
        some = {name: values[first:end] for name, values in more.items()}
        return Calls(ids[first:end], args[first:end], kwargs[first:end], some)


class Written(NamedTuple):
    """What the database decided when it wrote a job, or several in one statement."""

    state: str
    enqueued_at: datetime
    run_after: datetime | None

    def of_call(self, more: Mapping[str, list[Any]], place: int) -> "Written":
        """Return what holds for one call of many, of which some may have a lane."""
        if self.state != "READY" or "lane" not in more:
            return self
        return self._replace(state=entry({"lane": more["lane"][place]}))

    @classmethod
    def now(cls, job: NewJob) -> "Written":
        """Return what holds for a job that is written now, by this host's clock."""
        now, due = timezone.now(), job.run_after
        if job.delay is not None:
            due = now + timedelta(seconds=job.delay)
        return cls.at(job, as_kept(now), None if due is None else as_kept(due))

    @classmethod
    def at(cls, job: NewJob, now: datetime, due: datetime | None) -> "Written":
        """Return what holds for a job that was written at a moment, due at another."""
        is_due = due is None or due <= now
        return cls(entry(job.more) if is_due else "SCHEDULED", now, due)


def gate_of(more: Mapping[str, Any]) -> str | None:
    """Return the gate of a job with these columns; None if it has no lane."""
    return more.get("fair_group") or more.get("lane")


def entry(more: Mapping[str, Any] | None) -> str:
    """Return the state of a job that is due: with a lane, the gate lets it in."""
    return "READY" if not more or more.get("lane") is None else "BLOCKED"


def as_kept(moment: datetime) -> datetime:
    """Return the moment as Django's models know it: naive without USE_TZ."""
    if settings.USE_TZ or timezone.is_naive(moment):
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone())


EVER = 2e11  # seconds: for databases, which know no infinite time


@dataclass(slots=True, kw_only=True)
class Outcome:
    """How one attempt ended; (id, attempt) and the worker's id are the fence."""

    id: UUID
    attempt: int
    # SUCCESSFUL, FAILED or CANCELLED ends the job; READY gives it back to the queue, or
    # to its gate.
    state: str
    result: str | None = None  # JSON text
    record: dict[str, Any] | None = None  # for the attempt log
    failed: int = 0  # failures to add
    delay: float = 0.0  # seconds until a job given back is due
    duration: float | None = None  # seconds the attempt ran
    gate: str | None = None  # that of the job
    # Whether it was to give the job back, and ends one that somebody had cancelled.
    turned: bool = False
    keep: float | None = None  # seconds that the record stays, if not as for others

    @property
    def reason(self) -> str:
        """Why the attempt did not succeed, as its record says; else empty."""
        return "" if self.record is None else str(self.record["reason"])

    def become(self, other: "Outcome") -> None:
        """Be what the job has ended as, where that is not what was to be."""
        self.state, self.record = other.state, other.record
        self.delay, self.turned = other.delay, other.turned


class Request(NamedTuple):
    """A cancel, as whoever asked for it explains it to others; both may be ""."""

    by: str = ""
    why: str = ""

    def noted(self) -> dict[str, str]:
        """Return what the attempt log says of it."""
        return {name: text for name, text in self._asdict().items() if text}


UNEXPLAINED = Request()


def ended_in_waiting(attempt: int = 0) -> dict[str, Any]:
    """Return the record of a job that was cancelled when it did not run.

    It is of no attempt, and has no worker; there were `attempt` before.
    """
    now = timezone.now().isoformat()
    return {"attempt": attempt, "ended_at": now, "reason": "cancelled"}


LOWEST, HIGHEST = -32_768, 32_767  # what a smallint priority can be


class Target(NamedTuple):
    """One stretch of the ready index to claim from; by default a whole queue."""

    queue: str
    lowest: int = LOWEST  # priority
    highest: int = HIGHEST  # priority
    # Where in the order of the level the last claim ended: it begins after that.
    since: datetime | None = None
    after: UUID | None = None
    unknown: Sequence[str] = ()  # tasks whose jobs are left
    light: bool = False  # whether jobs with large columns are left
    most: int | None = None  # jobs of the queue that may run at once; None = no limit


class Opened(NamedTuple):
    """What came of an attempt to open gates."""

    queues: set[str]  # in which jobs became READY
    again: dict[str, float]  # seconds until a gate is to be tried again


def tell_of_known(id: UUID) -> None:
    """Log that a job was removed: one with its chosen id has ended before."""
    logger.info("Job id=%s has ended before and is not run again", id)


def warn_of_drop(id: UUID) -> None:
    """Log that an outcome was dropped: the history had one of this id before."""
    logger.warning("Job id=%s had ended before: its second outcome was dropped", id)


class QueueCount(NamedTuple):
    """How many jobs of a state are in a queue; READY ones come by priority."""

    state: str
    queue_name: str
    jobs: int
    wait: float | None  # seconds that one of them is READY by now, the longest


class FailureGroup(NamedTuple):
    """Finished jobs of a task that have FAILED by the same exception."""

    exception: str | None  # its dotted path
    task: str
    jobs: int
    last: datetime  # when the latest of them ended


class Pin(NamedTuple):
    """A transaction that keeps vacuum from removing what ended after it began."""

    pid: int
    who: str
    seconds: float


class MovedJob(NamedTuple):
    """A job as a move from outside has left it."""

    id: UUID
    task: str
    queue_name: str
    attempt: int
    state: str
    lane: str | None
    fair_group: str | None

    @property
    def gate(self) -> str | None:
        """What others of its lane wait for; None if it has no lane."""
        return self.fair_group or self.lane


class QueueHead(NamedTuple):
    """The first ready job of a queue."""

    queue_name: str
    priority: int
    enqueued_at: datetime
    id: UUID
