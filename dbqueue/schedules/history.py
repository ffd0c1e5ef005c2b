"""What became of the latest ticks of schedules."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dbqueue.models import FinishedJob, Job
from dbqueue.models.job import JobRecord
from dbqueue.schedules.models import Schedule


@dataclass(frozen=True, slots=True)
class Run:
    """One of the latest ticks: `done` is fired, skipped or manual.

    `state` is that of the job; empty if there is none, or not any more. `duration` is
    in seconds.
    """

    moment: datetime
    done: str
    job_id: UUID | None = None
    state: str = ""
    duration: float | None = None

    def __str__(self) -> str:
        seconds = "" if self.duration is None else f" in {self.duration:.3g} s"
        known = f"{self.state.lower()}{seconds}" if self.state else "pruned"
        return self.done if self.job_id is None else known


def runs(alias: str, rows: Iterable[Schedule]) -> dict[UUID, list[Run]]:
    """Return the latest runs of each schedule, the last first."""
    found = {row.pk: list(_entries(row)) for row in rows}
    ids = [run.job_id for those in found.values() for run in those if run.job_id]
    jobs: dict[UUID, JobRecord] = {}
    for model in (Job, FinishedJob):  # in this order: a job may end in between
        jobs |= {job.pk: job for job in _records(model, alias, ids)}
    return {pk: [_joined(run, jobs) for run in those] for pk, those in found.items()}


def last(alias: str, rows: Iterable[Schedule]) -> dict[UUID, Run]:
    """Return the last run of each schedule that had one."""
    return {pk: those[0] for pk, those in runs(alias, rows).items() if those}


def _records(model: Any, alias: str, ids: list[UUID]) -> Any:
    rows = model.objects.using(alias).filter(pk__in=ids)
    return rows.only("state", *(["duration"] if model is FinishedJob else []))


def _entries(row: Schedule) -> Iterator[Run]:
    for entry in row.recent if isinstance(row.recent, list) else []:
        with suppress(KeyError, TypeError, ValueError):  # it was damaged by hand
            moment, id = datetime.fromisoformat(entry["tick"]), entry["job"]
            yield Run(moment, str(entry["done"]), UUID(id) if id else None)


def _joined(run: Run, jobs: dict[UUID, JobRecord]) -> Run:
    job = jobs.get(run.job_id) if run.job_id else None
    if job is None:
        return run
    duration = getattr(job, "duration", None)
    return Run(run.moment, run.done, run.job_id, job.state, duration)
