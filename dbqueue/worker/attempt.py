"""One run of one job: what it is given, what is announced, and what became of it."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from dbqueue import context, dialects, payload
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.django_tasks import (
    TaskResultStatus,
    is_heard,
    task_finished,
    task_started,
)
from dbqueue.exceptions import (
    ClaimLost,
    InvalidPayload,
    TaskTimeout,
)
from dbqueue.models import JobState, entries
from dbqueue.results import JobContext, JobResult, job_result, task_error
from dbqueue.tasks import Task
from dbqueue.worker.verdict import verdict

logger = logging.getLogger(__name__)


class Attempt:
    """One run of one job, from its claim to its outcome.

    `settle` records an outcome at once and returns whether the claim still held.
    """

    def __init__(
        self,
        job: ClaimedJob,
        task: Task[..., Any],
        *,
        worker_id: UUID,
        database: str,
        settle: Callable[[Outcome], bool],
        sender: type,
        note_progress: Callable[[ClaimedJob, str], None],
        reraise: tuple[type[BaseException], ...],
    ) -> None:
        self.job = job
        self.task = task
        self.worker_id = worker_id
        self.database = database
        self.settle = settle
        self.sender = sender
        self.note_progress = note_progress
        self.reraise = reraise
        self.began = time.monotonic()
        self._readable = False
        self._result: JobResult | None = None
        # The result, as JSON, of a job whose end is committed already.
        self.committed: str | None = None

    def begin(self) -> tuple[Callable[..., Any], list[Any], dict[str, Any]]:
        """Read the row, announce the start, and return what is to be called.

        Raises InvalidPayload if the row was damaged.
        """
        args, kwargs = self._arguments()
        _load(self.job, "attempt_log", list)
        context.restore(_load(self.job, "context", dict))
        self._readable = True
        if is_heard(task_started, logging.INFO):
            task_started.send_robust(self.sender, task_result=self.result)
        if self.task.takes_context:
            args = [self._context(self._told()), *args]
        return self.task.func, args, kwargs

    @property
    def result(self) -> JobResult | None:
        """What others are told of the job: None if its row is damaged.

        Made when it is asked for; most jobs have nobody who does.
        """
        return self._told() if self._readable else None

    @contextmanager
    def finishing(self, value: Any = None) -> Iterator[None]:
        """See JobContext.finishing()."""
        with transaction.atomic(using=self.database, durable=True):
            yield
            result = self._end(value)
        self.committed = result

    def make(self, call: Callable[[], Any]) -> str:
        """Make the call; return the result of the job as JSON."""
        value = call()
        return payload.result(value) if self.committed is None else self.committed

    def atomically(self, call: Callable[[], Any]) -> str:
        """As make(), in a transaction whose last statement ends the job."""
        with transaction.atomic(using=self.database):
            result = self._end(call())
        self.committed = result
        return result

    def _end(self, value: Any) -> str:
        result = payload.result(value)
        if self.committed is not None or not self.settle(self._success(result)):
            raise ClaimLost(f"Job {self.job.id} was taken over; rolled back.")
        return result

    def succeeded(self, result: str) -> Outcome | None:
        """Announce the success; return its outcome, if that is not committed."""
        outcome = self._success(result) if self.committed is None else None
        self._announce_success(result)
        return outcome

    def _success(self, result: str) -> Outcome:
        return Outcome(
            id=self.job.id,
            attempt=self.job.attempt,
            state=JobState.SUCCESSFUL,
            result=result,
            duration=time.monotonic() - self.began,
        )

    def _announce_success(self, result: str) -> None:
        if is_heard(task_finished, logging.INFO):
            self._finish(JobState.SUCCESSFUL)
            object.__setattr__(self.result, "_return_value", json.loads(result))
            task_finished.send_robust(self.sender, task_result=self.result)
        self._log(logging.INFO, JobState.SUCCESSFUL)

    def failed(self, error: BaseException) -> Outcome | None:
        """Return the outcome for an exception; called while it is being handled."""
        if isinstance(error, self.reraise):
            raise error
        if self.committed is not None:
            self._failed_after_the_end(self.committed)
            return None
        if isinstance(error, ClaimLost):
            logger.warning("Claim lost: %s", error)
            return None
        if isinstance(error, TaskTimeout) and not error.args:
            error.args = (f"The job ran longer than {self.task.seconds_allowed} s.",)
        dialect = dialects.of(self.database)
        outcome = verdict(
            self.job, self.task, self.worker_id, self.result, error, dialect
        )
        outcome.duration = time.monotonic() - self.began
        if outcome.state == JobState.READY:
            level = logging.WARNING if outcome.failed else logging.INFO
            self._log(
                level, "RETRY", exc_info=bool(outcome.failed), delay=outcome.delay
            )
        else:
            self._announce_failure(outcome)
        return outcome

    def _failed_after_the_end(self, result: str) -> None:
        logger.exception(
            "Job id=%s task=%s raised after its end", self.job.id, self.job.task
        )
        self._announce_success(result)

    def _announce_failure(self, outcome: Outcome) -> None:
        heard = is_heard(task_finished, logging.ERROR)
        if heard and self.result is not None and outcome.record is not None:
            self._finish(outcome.state)
            self.result.errors.append(task_error(outcome.record))
            # Inside the except block: Django's logger and Sentry read the traceback.
            task_finished.send_robust(self.sender, task_result=self.result)
        cancelled = outcome.state == JobState.CANCELLED
        self._log(logging.INFO if cancelled else logging.ERROR, outcome.state)

    def _finish(self, state: str) -> None:
        successful = state == JobState.SUCCESSFUL
        status = TaskResultStatus.SUCCESSFUL if successful else TaskResultStatus.FAILED
        for name, value in (
            ("state", state),
            ("status", status),
            ("finished_at", timezone.now()),
        ):
            object.__setattr__(self.result, name, value)

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        return _load(self.job, "args", list), _load(self.job, "kwargs", dict)

    def _told(self) -> JobResult:
        if self._result is None:
            self._result = self._running_result()
        return self._result

    def _running_result(self) -> JobResult:
        # Read once more: the function may have changed what it was given.
        args, kwargs = self._arguments()
        log = entries(_load(self.job, "attempt_log", list))
        workers = [str(entry.get("worker")) for entry in log]
        return job_result(
            self.task,
            self.job,
            args=args,
            kwargs=kwargs,
            state=JobState.RUNNING,
            worker_ids=[*workers, str(self.worker_id)],
            attempt_log=log,
        )

    def _context(self, result: JobResult) -> JobContext:
        def note(text: str) -> None:
            self.note_progress(self.job, text)

        return JobContext(task_result=result, _note=note, _finishing=self.finishing)

    def _log(
        self, level: int, state: str, *, exc_info: bool = False, **more: Any
    ) -> None:
        if not logger.isEnabledFor(level):
            return
        job, seconds = self.job, time.monotonic() - self.began
        logger.log(
            level,
            "Job id=%s task=%s queue=%s attempt=%s state=%s duration_ms=%.1f",
            job.id,
            job.task,
            job.queue_name,
            job.attempt,
            state,
            seconds * 1000,
            exc_info=exc_info,
            extra={
                "job_id": str(job.id),
                "task": job.task,
                "queue": job.queue_name,
                "attempt": job.attempt,
                "state": str(state),
                "duration_ms": round(seconds * 1000, 1),
                **more,
            },
        )


async def within(seconds: float | None, work: Coroutine[Any, Any, Any]) -> Any:
    if seconds is None:
        return await work
    try:
        async with asyncio.timeout(seconds) as timeout:
            return await work
    except TimeoutError as error:
        if timeout.expired():
            raise TaskTimeout(f"The job ran longer than {seconds} s.") from error
        raise


_EMPTY: dict[type, str] = {list: "[]", dict: "{}"}


def _load(job: ClaimedJob, column: str, kind: type) -> Any:
    text = getattr(job, column)
    if text == _EMPTY[kind]:
        return kind()
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidPayload(
            f"Column {column!r} of job {job.id} is no JSON: {error}"
        ) from error
    if not isinstance(value, kind):
        raise InvalidPayload(
            f"Column {column!r} of job {job.id} is no {kind.__name__}: {text[:80]!r}"
        )
    return value
