"""Backends for TASKS in tests: no database, and every option of a Task accepted."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue.backend import DatabaseBackend
from dbqueue.dialects.columns import WRITTEN, ClaimedJob, NewJob
from dbqueue.dialects.rows import Outcome, Written
from dbqueue.ids import uuid7
from dbqueue.jobs import events
from dbqueue.jobs.insert import as_call, new_job
from dbqueue.jobs.results import job_result, new_result
from dbqueue.models import JobState
from dbqueue.tasks import payload
from dbqueue.tasks.framework import TaskResultDoesNotExist
from dbqueue.tasks.registry import as_task
from dbqueue.tasks.results import JobResult, progress_of
from dbqueue.tasks.task import Task
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder


class RecordingBackend(DatabaseBackend):
    """Keeps what is enqueued in `results`, and runs nothing."""

    stores_jobs = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[JobResult] = []

    def clear(self) -> None:
        """Forget what was enqueued."""
        self.results.clear()

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        task = as_task(task)
        self.validate_task(task)
        return self._take(task, payload.call(args, kwargs))

    def enqueue_many(self, task: Task[..., Any], calls: Any) -> list[JobResult]:
        self.validate_task(task)
        checked = [as_call(item, i) for i, item in enumerate(calls, 1)]
        return [self._take(task, call) for call in checked]

    def get_result(self, result_id: str) -> JobResult:
        for result in self.results:
            if result.id == str(result_id):
                return result
        raise TaskResultDoesNotExist(f"No job has the id {result_id!r}.")

    def check(self, **kwargs: Any) -> list[Any]:
        return []

    def _take(self, task: Task[..., Any], call: payload.Call) -> JobResult:
        job = new_job(self.alias, task, call)
        written = Written(JobState.READY, timezone.now(), job.run_after)
        result = new_result(task, job, written, call)
        self.results.append(result)
        events.enqueued(type(self), [result])
        return result


class ImmediateBackend(RecordingBackend):
    """Runs each job inside enqueue(), retries included, without waiting for its time.

    A failing job ends as FAILED, as it would in a worker; the result tells.
    """

    def _take(self, task: Task[..., Any], call: payload.Call) -> JobResult:
        result = super()._take(task, call)
        job = new_job(self.alias, task.using(job_id=result.id), call)
        row = _Row(job)
        holder = Holder(
            worker_id=uuid7(),
            database=self.database,
            sender=type(self),
            recorder=row,
            progress=row,
            reraise=(KeyboardInterrupt,),
        )
        while row.state == JobState.READY:
            outcome = Attempt(row.claimed(), task, holder).run_to_end()
            if outcome is not None:
                row.record(holder.worker_id, [outcome])
        result.update_from(row.result(task, call, holder.worker_id, result))
        return result


class _Row:
    """One job in memory; records outcomes and progress as a Dialect does."""

    def __init__(self, job: NewJob) -> None:
        now = timezone.now()
        self.state: str = JobState.READY
        self._outcome: Outcome | None = None
        self._log: list[dict[str, Any]] = []
        self._progress = "null"
        self._job = ClaimedJob(
            **{name: getattr(job, name) for name in WRITTEN},
            attempt=0,
            failures=0,
            progress=None,
            attempt_log="[]",
            enqueued_at=now,
            run_after=job.run_after,
            started_at=now,
            last_attempted_at=now,
        )

    def claimed(self) -> ClaimedJob:
        """Return the job as the next attempt gets it."""
        self._job = dataclasses.replace(
            self._job,
            attempt=self._job.attempt + 1,
            attempt_log=json.dumps(self._log),
            last_attempted_at=timezone.now(),
        )
        return self._job

    def record(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        for outcome in outcomes:
            self._outcome, self.state = outcome, outcome.state
            if outcome.record is not None:
                self._log.append(outcome.record)
            failures = self._job.failures + outcome.failed
            self._job = dataclasses.replace(self._job, failures=failures)
        return {outcome.id for outcome in outcomes}

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        for _, _, text in notes:
            self._progress = text

    def result(
        self, task: Task[..., Any], call: payload.Call, worker_id: UUID, new: JobResult
    ) -> JobResult:
        """Return the result of the job, which has ended; `new` is its first one."""
        ended = self._outcome.result if self._outcome else None
        return job_result(
            task,
            self._job,
            state=self.state,
            args=call.args,
            kwargs=call.kwargs,
            run_after=self._job.run_after,
            enqueued_at=new.enqueued_at,
            attempt_log=self._log,
            worker_ids=[str(worker_id)] * self._job.attempt,
            progress=progress_of(json.loads(self._progress)),
            finished_at=timezone.now(),
            return_value=json.loads(ended or "null"),
        )
