"""Backends for TASKS in tests: no database, and every option of a Task accepted."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils import timezone

from dbqueue.backend import DatabaseBackend, demand_no_id
from dbqueue.checks import check_options
from dbqueue.dialects.columns import WRITTEN, ClaimedJob, NewJob
from dbqueue.dialects.rows import Outcome, Written
from dbqueue.ids import uuid7
from dbqueue.jobs import events, expiry
from dbqueue.jobs.insert import as_call
from dbqueue.jobs.results import job_result, new_result, returned
from dbqueue.jobs.unique import existing
from dbqueue.models import JobState
from dbqueue.tasks import defaults, payload
from dbqueue.tasks.framework import TaskResultDoesNotExist
from dbqueue.tasks.results import JobResult, progress_of
from dbqueue.tasks.task import Task
from dbqueue.testing.kept import KeptJob
from dbqueue.testing.keys import Keys, is_late
from dbqueue.testing.surroundings import contained
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder, ProgressNotes


class RecordingBackend(DatabaseBackend):
    """Keeps what is enqueued in `results`, and runs nothing."""

    stores_jobs = False

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results, self._keys = _kept_of(params)

    def clear(self) -> None:
        """Forget what was enqueued."""
        self.results.clear()

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        task = self._usable(task)
        return self._take(task, self.encoder(task)(task, args, kwargs))

    def enqueue_many(self, task: Task[..., Any], calls: Any) -> list[JobResult]:
        demand_no_id(task)
        task = self._usable(task)
        encode = partial(self.encoder(task), task)
        checked = [as_call(encode, item, i) for i, item in enumerate(calls, 1)]
        self._keys.check(task, checked)
        return [self._take(task, call) for call in checked]

    def get_result(self, result_id: str) -> JobResult:
        for result in self.results:
            if result.id == str(result_id):
                return result
        raise TaskResultDoesNotExist(f"No job has the id {result_id!r}.")

    def choose(self, id: str) -> Any:
        return KeptJob(self, id)

    def check(self, **kwargs: Any) -> list[Any]:
        return check_options(self)

    def _take(self, task: Task[..., Any], call: payload.Call) -> JobResult:
        job = self._new_job(task, call)
        for other in self.results if task.job_id else ():
            if other.id == str(job.id):
                return existing(task, job, other)
        if stands := self._keys.answer(task, job, call):
            return stands
        written = Written(JobState.READY, timezone.now(), job.run_after)
        result = new_result(task, job, written, call)
        self.results.append(result)
        self._keys.take(job, result)
        events.enqueued(type(self), [result])
        return result


class ImmediateBackend(RecordingBackend):
    """Runs each job inside enqueue(), retries included, without waiting for its time.

    A failing job ends as FAILED, as it would in a worker; its result has the error.
    """

    def replace_arguments(self, result: JobResult, args: Any, kwargs: Any) -> None:
        task: Any = result.task
        _rows[result.id].replace(self.encoder(task)(task, args, kwargs))

    def _take(self, task: Task[..., Any], call: payload.Call) -> JobResult:
        result = super()._take(task, call)
        if not result.was_enqueued:
            return result
        job = self._new_job(task.using(job_id=result.id), call)
        row = _Row(job, result.enqueued_at or timezone.now())
        holder = Holder(
            worker_id=uuid7(),
            database=self.database,
            sender=type(self),
            record_now=row.record,
            note=row.note_progress,
            reraise=(KeyboardInterrupt,),
        )
        placed = defaults.placed(task, task.queue_name, self.alias)
        object.__setattr__(result, "state", JobState.RUNNING)  # for its own children
        _rows[result.id] = row
        while row.state == JobState.READY:
            claimed = row.claimed()
            if is_late(job):
                outcome: Outcome | None = expiry.end(claimed, holder.worker_id)
            else:
                outcome = Attempt(claimed, placed, holder).run_to_end(contained())
            if outcome is not None:
                holder.record(outcome)
        del _rows[result.id]
        result.update_from(row.result(task, call, holder.worker_id))
        return result


def _kept_of(params: dict[str, Any]) -> tuple[list[JobResult], Keys]:
    """Return the one list of an entry of TASKS, and its keys.

    Django makes a backend of it in each thread, and in each job.
    """
    if id(params) not in _kept:
        results: list[JobResult] = []
        _kept[id(params)] = params, results, Keys(results)
    _, results, keys = _kept[id(params)]
    return results, keys


@receiver(setting_changed)
def _forget(setting: str, enter: bool, **kwargs: Any) -> None:
    # The next test may name the same entry again.
    if setting == "TASKS" and not enter:
        in_force = {id(entry) for entry in getattr(settings, "TASKS", {}).values()}
        for gone in _kept.keys() - in_force:
            del _kept[gone]


# By the id of an entry, which is held so that no other gets the same.
_kept: dict[int, tuple[dict[str, Any], list[JobResult], Keys]] = {}


class _Row:
    """One job in memory; records outcomes and progress as a Dialect does."""

    def __init__(self, job: NewJob, enqueued_at: datetime) -> None:
        now = timezone.now()
        self.state: str = JobState.READY
        self._log: list[dict[str, Any]] = []
        self._progress = self._returned = "null"
        self._job = ClaimedJob(
            **{name: getattr(job, name) for name in WRITTEN},
            attempt=0,
            failures=0,
            progress=None,
            attempt_log="[]",
            lane=None,
            fair_group=None,
            enqueued_at=enqueued_at,
            run_after=job.run_after,
            started_at=now,
            last_attempted_at=now,
        )

    def claimed(self) -> ClaimedJob:
        """Return the job as the next attempt gets it."""
        self._job.attempt += 1
        self._job.attempt_log = json.dumps(self._log)
        self._job.last_attempted_at = timezone.now()
        return self._job

    def replace(self, call: payload.Call) -> None:
        self._job.args, self._job.kwargs = call.args_text, call.kwargs_text

    def record(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        for outcome in outcomes:
            self.state, self._returned = outcome.state, outcome.result or "null"
            if outcome.record is not None:
                self._log.append(outcome.record)
            self._job.failures += outcome.failed
        return {outcome.id for outcome in outcomes}

    def note_progress(self, worker_id: UUID, notes: ProgressNotes) -> None:
        self._progress = notes[-1][2]

    def result(
        self, task: Task[..., Any], call: payload.Call, worker_id: UUID
    ) -> JobResult:
        """Return the result of the job, which has ended."""
        return job_result(
            task,
            self._job,
            state=self.state,
            args=call.args,
            kwargs=call.kwargs,
            run_after=self._job.run_after,
            attempt_log=self._log,
            worker_ids=[str(worker_id)] * self._job.attempt,
            progress=progress_of(json.loads(self._progress)),
            finished_at=timezone.now(),
            return_value=returned(self._job, self._returned),
        )


# Those of jobs that run, by id.
_rows: dict[str, _Row] = {}
