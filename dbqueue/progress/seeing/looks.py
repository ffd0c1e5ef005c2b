"""One look at jobs: how far they are, for whoever waits for them."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dbqueue.models import FinishedJob, Job, JobRecord, JobState, entries
from dbqueue.progress.models import FileState, JobFile
from dbqueue.tasks.results import JobResult, Progress, progress_of

CAP = 1000  # jobs ahead that are counted
_SHARED = ("state", "queue_name", "attempt", "failures", "progress", "backend")
_JOB = (*_SHARED, "priority", "enqueued_at", "run_after", "once", "cancelled_at")


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file that a job has attached."""

    name: str
    size: int
    content_type: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How far a job is; two are equal if nobody would see a difference."""

    state: str
    has_begun: bool = False
    is_retried: bool = False
    is_stopping: bool = False
    progress: Progress | None = None
    # 1 is next; more than CAP is any number. None where there is no line.
    position: int | None = None
    run_after: datetime | None = None
    error: str | None = None  # what a UserVisibleError said
    files: tuple[SeenFile, ...] = ()

    @property
    def is_finished(self) -> bool:
        return self.state in _FINISHED


_FINISHED = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)


def look(database: str, id: UUID) -> Snapshot | None:
    """Return how far a job is, None if it is not on record; two to five queries."""
    return look_at(database, [id]).get(id)


def look_at(
    database: str, ids: Collection[UUID], *, placed: Collection[UUID] | None = None
) -> dict[UUID, Snapshot]:
    """Return how far jobs are, those left out that are not on record.

    It takes up to three queries for all, and three more for each that is in line, or
    for those of `placed` alone.
    """
    placed = ids if placed is None else placed
    found = rows(database, ids)
    begun = [id for id, row in found.items() if row.attempt]
    files = _files(database, begun)
    return {
        id: _snapshot(row, files.get(id, ()), id in placed) for id, row in found.items()
    }


def rows(database: str, ids: Iterable[UUID]) -> dict[UUID, JobRecord]:
    """Return the rows of jobs, without what may be large."""
    # In this order: a job that finishes in between is found in the history.
    jobs = Job.objects.using(database).filter(pk__in=list(ids)).only("pk", *_JOB)
    found: dict[UUID, JobRecord] = {job.pk: job for job in jobs}
    # Under a chosen id, a second one may wait until its claim removes it.
    sure = {job.pk for job in jobs if not job.once}
    if missing := set(ids) - sure:
        ended = FinishedJob.objects.using(database).filter(pk__in=missing)
        found |= {job.pk: job for job in ended.only("pk", *_SHARED)}
    return found


def known_of(result: JobResult) -> Snapshot:
    """Return how far a job was when its result was read."""
    return Snapshot(state=result.state, progress=result.progress)


def _snapshot(row: Any, files: tuple[SeenFile, ...], is_placed: bool) -> Snapshot:
    is_ready = row.state == JobState.READY
    return Snapshot(
        state=row.state,
        has_begun=row.attempt > 0,
        is_retried=row.failures > 0,
        is_stopping=getattr(row, "cancelled_at", None) is not None,
        progress=progress_of(row.progress),
        position=_position(row) if is_ready and is_placed else None,
        run_after=row.run_after if row.state == JobState.SCHEDULED else None,
        error=_error(row) if row.state == JobState.FAILED else None,
        files=files,
    )


def _error(row: JobRecord) -> str | None:
    last: dict[str, Any] = next(reversed(entries(row.attempt_log)), {})
    return str(last.get("message", "")) if last.get("visible") else None


def _position(job: Job) -> int:
    """Return the place in line of a ready job, by up to three ranges of its index."""
    ready = Job.objects.using(job._state.db).ready().filter(queue_name=job.queue_name)
    alike = ready.filter(priority=job.priority)
    ahead = 0
    for others in (
        ready.filter(priority__gt=job.priority),
        alike.filter(enqueued_at__lt=job.enqueued_at),
        alike.filter(enqueued_at=job.enqueued_at, pk__lt=job.pk),
    ):
        if ahead < CAP:
            ahead += others.values_list("pk")[: CAP - ahead].count()
    return ahead + 1


def _files(database: str, ids: Collection[UUID]) -> dict[UUID, tuple[SeenFile, ...]]:
    if not ids:
        return {}
    latest: dict[UUID, dict[str, JobFile]] = {}
    for file in JobFile.objects.using(database).of(*ids).order_by("pk"):
        latest.setdefault(file.job_id, {})[file.name] = file
    return {
        id: tuple(
            SeenFile(file.name, file.size or 0, file.content_type, file.expires_at)
            for file in files.values()
            # An annotation, unknown to mypy.
            if file.state == FileState.LIVE and not file.is_over  # type: ignore[attr-defined]
        )
        for id, files in latest.items()
    }
