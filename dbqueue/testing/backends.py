"""Backends for TASKS in tests: no database, and every option of a Task accepted."""

import json
from datetime import datetime
from typing import Any

from django.utils import timezone

from dbqueue import payload
from dbqueue.backend import DatabaseBackend
from dbqueue.dialects.rows import ClaimedJob, NewJob, Outcome, Written
from dbqueue.django_tasks import TaskResultDoesNotExist, task_enqueued
from dbqueue.ids import uuid7
from dbqueue.models import JobState
from dbqueue.registry import as_task
from dbqueue.results import JobResult, job_result
from dbqueue.tasks import Task
from dbqueue.worker.executor import Executor
from dbqueue.writing import Call, as_call, new_job, new_result


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
        return self._take(task, Call(*payload.arguments(args, kwargs)))

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

    def _take(self, task: Task[..., Any], call: Call) -> JobResult:
        job = new_job(self.alias, task, call)
        written = Written(JobState.READY, timezone.now(), job.run_after)
        result = new_result(task, job, written, call)
        self.results.append(result)
        task_enqueued.send(type(self), task_result=result)
        return result


class ImmediateBackend(RecordingBackend):
    """Runs each job inside enqueue(), retries included, without waiting for its time.

    A failing job ends as FAILED, as it would in a worker; the result tells.
    """

    def _take(self, task: Task[..., Any], call: Call) -> JobResult:
        result = super()._take(task, call)
        job = new_job(self.alias, task.using(job_id=result.id), call)
        run = _Run(job, self.database, type(self))
        while run.attempt(task) == JobState.READY:
            pass
        result.update_from(run.result(task, call, enqueued_at=result.enqueued_at))
        return result


class _Run:
    """The attempts of one job, in memory instead of a row."""

    def __init__(self, job: NewJob, database: str, sender: type) -> None:
        now = timezone.now()
        self._outcome = Outcome(id=job.id, attempt=0, state=JobState.READY)
        self._log: list[dict[str, Any]] = []
        self._progress: str | None = None
        self._worker_id = uuid7()
        self._executor = Executor(
            database,
            self._worker_id,
            self._settle,
            sender,
            self._note_progress,
            reraise=(KeyboardInterrupt,),
        )
        self._row = ClaimedJob(
            id=job.id,
            task=job.task,
            queue_name=job.queue_name,
            priority=job.priority,
            backend=job.backend,
            attempt=0,
            failures=0,
            max_attempts=job.max_attempts,
            args=job.args,
            kwargs=job.kwargs,
            context=job.context,
            progress=None,
            attempt_log="[]",
            enqueued_at=now,
            run_after=job.run_after,
            started_at=now,
            last_attempted_at=now,
        )

    def attempt(self, task: Task[..., Any]) -> str:
        """Run the job once and return the state it is left in."""
        self._row = self._row._replace(
            attempt=self._row.attempt + 1,
            attempt_log=json.dumps(self._log),
            last_attempted_at=timezone.now(),
        )
        outcome = self._executor.run(self._row, task)
        if outcome is not None:
            self._settle(outcome)
        return self._outcome.state

    def result(
        self, task: Task[..., Any], call: Call, *, enqueued_at: datetime | None
    ) -> JobResult:
        """Return the result of a job that has ended."""
        workers = [str(self._worker_id)] * self._row.attempt
        return job_result(
            task,
            self._row._replace(enqueued_at=enqueued_at or self._row.enqueued_at),
            args=call.args,
            kwargs=call.kwargs,
            state=self._outcome.state,
            worker_ids=workers,
            attempt_log=self._log,
            progress=json.loads(self._progress or "null"),
            finished_at=timezone.now(),
            return_value=json.loads(self._outcome.result or "null"),
        )

    def _settle(self, outcome: Outcome) -> bool:
        self._outcome = outcome
        if outcome.record is not None:
            self._log.append(outcome.record)
        self._row = self._row._replace(failures=self._row.failures + outcome.failed)
        return True

    def _note_progress(self, job: ClaimedJob, text: str) -> None:
        self._progress = text
