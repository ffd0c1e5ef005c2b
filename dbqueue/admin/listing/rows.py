"""What a line of a list says of a job: why, when, how long, by whom."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin import AdminSite
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from dbqueue.admin import site as pages
from dbqueue.admin import texts
from dbqueue.dialects.expressions import LastEntry
from dbqueue.models import FinishedJob, JobState, Worker
from dbqueue.tasks.results import progress_of

_LONG = ("args", "kwargs", "context", "attempt_log", "result", "unique_key")


@dataclass(slots=True)
class Row:
    """One line; times are texts already."""

    job: Any
    url: str
    why: str = ""
    message: str = ""
    wait: Any = ""
    run: Any = ""
    when: Any = ""
    worker: str = ""
    worker_url: str = ""
    percent: float | None = None
    progress: str = ""

    @property
    def task(self) -> str:
        return texts.class_name(self.job.task)

    @property
    def module(self) -> str:
        return str(self.job.task).rpartition(".")[0]

    @property
    def failures(self) -> str:
        if not self.job.failures:
            return ""
        numbers = {"failures": self.job.failures, "most": self.job.max_attempts}
        are_numbers = all(isinstance(number, int) for number in numbers.values())
        # Of a job that is over, nothing is left; and SQLite keeps what it is given.
        if isinstance(self.job, FinishedJob) or not are_numbers:
            return str(self.job.failures)
        return _("%(failures)d of %(most)d") % numbers


def lean(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Leave out what is long, and bring along why the last attempt ended."""
    held = {field.name for field in rows.model._meta.get_fields()}
    found: Any = rows.defer(*(name for name in _LONG if name in held))
    brought: QuerySet[Any] = found.annotate(
        why_reason=LastEntry("attempt_log", "reason"),
        why_exception=LastEntry("attempt_log", "exception"),
        why_message=LastEntry("attempt_log", "message"),
    )
    return brought


def made(
    site: AdminSite,
    jobs: Collection[Any],
    alias: str,
    *,
    payload: bool,
    names: Mapping[UUID, str] | None = None,
) -> list[Row]:
    """Return the lines of jobs that lean() has read; without `payload`, no messages.

    `names` are those of workers, if somebody has asked for them already.
    """
    if names is None:
        names = worker_names(alias, {job.worker_id for job in jobs})
    now = timezone.now()
    made = [_row(site, job, names, now) for job in jobs]
    for row in made if not payload else []:
        row.message = row.progress = ""
    return made


def worker_names(alias: str, ids: Collection[UUID | None]) -> Mapping[UUID, str]:
    """Return what those workers call themselves that are still known."""
    known = [id for id in ids if id is not None]
    if not known:
        return {}
    workers = Worker.everyone.using(alias).filter(pk__in=known)
    return dict(workers.values_list("pk", "name"))


def _row(site: AdminSite, job: Any, names: Mapping[UUID, str], now: datetime) -> Row:
    is_over = isinstance(job, FinishedJob)
    name = "finishedjob" if is_over else "job"
    row = Row(job, pages.link(site, f"dbqueue_{name}_change", job.pk))
    if job.state != JobState.SUCCESSFUL and (job.why_exception or job.why_message):
        row.why = texts.class_name(job.why_exception) or job.why_reason or ""
        row.message = texts.first_line(job.why_message)
    elif job.state in (JobState.FAILED, JobState.CANCELLED):
        row.why = job.why_reason or ""
    row.wait = texts.duration(wait_of(job, now))
    row.run = texts.duration(run_of(job, now))
    row.when = texts.moment(_when(job, is_over=is_over))
    if job.worker_id:
        row.worker = names.get(job.worker_id, str(job.worker_id)[-8:])
        row.worker_url = pages.link(site, "dbqueue_worker_change", job.worker_id)
    progress = progress_of(job.progress) if isinstance(job.progress, dict) else None
    if progress and job.state == JobState.RUNNING:
        row.progress = progress.message
        row.percent = percent(progress.value, progress.total)
    return row


def percent(value: Any, total: Any) -> float | None:
    """Return how far a job is; None if it does not say of how much."""
    try:
        return max(0.0, min(100.0, 100.0 * float(value) / float(total)))
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


_DUE = (JobState.READY, JobState.BLOCKED, JobState.PAUSED)


def wait_of(job: Any, now: datetime) -> float | None:
    """Return the seconds between when a job was due and its first start, or now."""
    due = max(filter(None, (job.enqueued_at, job.run_after)), default=None)
    if job.started_at is not None and job.run_after and job.run_after > job.started_at:
        due = job.enqueued_at  # it is due again
    end = job.started_at or (now if job.state in _DUE else None)
    return None if due is None or end is None else max(0.0, (end - due).total_seconds())


def run_of(job: Any, now: datetime) -> float | None:
    """Return the seconds that the last attempt ran, or has run so far."""
    if job.state == JobState.RUNNING and job.last_attempted_at:
        return max(0.0, float((now - job.last_attempted_at).total_seconds()))
    duration = getattr(job, "duration", None)
    if duration is None and job.state == JobState.FAILED and job.last_attempted_at:
        return float((job.finished_at - job.last_attempted_at).total_seconds())
    return None if duration is None else float(duration)


def _when(job: Any, *, is_over: bool) -> datetime | None:
    if is_over:
        finished: datetime | None = job.finished_at
        return finished
    moments: dict[str, datetime | None] = {
        JobState.SCHEDULED: job.run_after,
        JobState.RUNNING: job.last_attempted_at,
    }
    chosen: datetime | None = moments.get(job.state) or job.enqueued_at
    return chosen
