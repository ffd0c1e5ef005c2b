"""One run of one claimed job: begin, call, end. Knows no loop and no buffer."""

import contextvars
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import Cancel, ClaimLost, TaskTimeout
from dbqueue.jobs import events, outcomes, results
from dbqueue.models import JobState
from dbqueue.tasks import context, payload, typed
from dbqueue.tasks.context import JobContext
from dbqueue.tasks.framework import task_finished, task_started
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task
from dbqueue.worker.run.awaiting import Call, announcing, too_long, within
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.run.typed import TypedRow

logger = logging.getLogger(__name__)

Limit = AbstractContextManager[Any] | None


class Attempt:
    """One run of one job, from its claim to its outcome."""

    def __init__(self, job: ClaimedJob, task: Task[..., Any], holder: Holder) -> None:
        self._job = job
        self._task = task
        self._holder = holder
        self._function = task.func
        self._began = time.monotonic()
        self._is_readable = False
        self._result: JobResult | None = None
        is_typed = str(job.args).startswith(typed.BEGINNING)
        self._typed = TypedRow(job) if is_typed else None
        self._dump = self._typed.dump if self._typed else payload.result
        if task.keep_result is False:
            self._dump = lambda value: "null"
        # The result, as JSON, of a job whose end is written, and then committed.
        self._written: str | None = None
        self._committed: str | None = None
        self._call: Call | None = None  # of an async job

    def run(self, limit: Limit = None) -> Outcome | None:
        """Run a sync job in this thread and this context, and return its outcome.

        `limit` surrounds the call alone and may interrupt it. None means that nothing
        is left to record: an atomic job committed, or lost its claim.
        """
        try:
            args, kwargs = self._begin()
            call = partial(self._function, *args, **kwargs)
            make = self._atomically if self._task.atomic else self._make
            with limit or nullcontext():
                if self._holder.cancelled:
                    self._demand_wanted()
                result = make(call)
        # The job is not our code: whatever it raises, SystemExit and worse, must
        # end the job and not the thread, or the job would stay RUNNING for ever.
        except BaseException as error:
            return self._failed(error)
        return self._succeeded(result)

    def run_to_end(self, limit: Limit = None) -> Outcome | None:
        """Run a job of either kind in this thread, in a context of its own."""
        if self._task.is_async:
            wait = partial(async_to_sync(within), self._task.seconds_allowed)
            self._function = lambda *a, **kw: wait(partial(self._task.func, *a, **kw))
        return contextvars.Context().run(self.run, limit)

    async def arun(self) -> Outcome | None:
        """Run an async job on this event loop; its own context is the caller's task."""
        try:
            args, kwargs = await announcing(self._begin, queries=bool(self._typed))
            if self._holder.cancelled:
                self._demand_wanted()
            work = partial(self._task.func, *args, **kwargs)
            self._call = Call()
            value = await self._call.make(self._task.seconds_allowed, work)
            result = self._dump(value)
        except BaseException as error:  # as in run()
            return await announcing(self._failed, error)
        return await announcing(self._succeeded, result)

    def cancel(self) -> None:
        """Cancel the function of an async job; on its event loop."""
        if self._call is not None:
            self._call.cancel()

    def _begin(self) -> tuple[list[Any], dict[str, Any]]:
        """Read the row, announce the start, and return what to call the task with.

        Raises InvalidPayload if the row was damaged.
        """
        context.running.set(self._job)
        if self._holder.cancelled:
            self._demand_wanted()
        args, kwargs = self._arguments()
        payload.read(self._job, "attempt_log", list)
        bound = payload.read(self._job, "context", dict)
        if bound:
            context.restore(bound)
        self._is_readable = True
        if self._typed:
            self._typed.fetch()
            args, kwargs = self._typed.arguments()
        if events.has_receivers(task_started, logging.INFO):
            result = self._current_result()
            events.deliver(task_started, self._holder.sender, task_result=result)
        events.started(self._job, self._holder.worker_id)
        if self._task.takes_context:
            own = JobContext(
                task_result=self._current_result(),
                _attempts_left=self._job.max_attempts - self._job.failures,
                _is_cancelled=self._tell_cancelled,
                _note=partial(self._holder.note_progress, self._job),
                _finishing=self._finishing,
            )
            args = [own, *args]
        return args, kwargs

    def _demand_wanted(self) -> None:
        if self._holder.is_cancelled(self._job):
            raise Cancel

    def _tell_cancelled(self) -> bool:
        """See JobContext.cancelled."""
        if is_cancelled := self._holder.is_cancelled(self._job):
            self._dump = _drop  # it stops for that
        return is_cancelled

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        if self._typed:
            return self._typed.arguments()
        args = payload.read(self._job, "args", list)
        return args, payload.read(self._job, "kwargs", dict)

    def _current_result(self) -> JobResult:
        """Return what receivers get, if any asks; InvalidPayload if it is damaged."""
        if self._result is None:
            # Read once more: the function may have changed what it was given.
            args, kwargs = self._arguments()
            self._result = results.running_result(
                self._task,
                self._job,
                self._holder.worker_id,
                args=args,
                kwargs=kwargs,
                attempt_log=payload.read(self._job, "attempt_log", list),
            )
        return self._result

    def _make(self, call: Callable[[], Any]) -> str:
        """Make the call; return the result of the job as JSON."""
        value = call()
        return self._dump(value) if self._committed is None else self._committed

    def _atomically(self, call: Callable[[], Any]) -> str:
        """As _make(), in a transaction whose last statement ends the job."""
        with self._committing():
            return self._write_success(call())

    @contextmanager
    def _finishing(self, value: Any = None) -> Iterator[None]:
        """See JobContext.finishing()."""
        with self._committing(durable=True):
            yield
            self._write_success(value)

    @contextmanager
    def _committing(self, **how: Any) -> Iterator[None]:
        """Return a transaction that writes the job's end, and note if it committed.

        A hook of on_commit() may raise then, and a timeout may come at any step.
        """
        try:
            with transaction.atomic(using=self._holder.database, **how):
                yield
        except BaseException:
            if self._written is not None and self._holder.has_ended(self._job):
                self._committed = self._written
            raise
        self._committed = self._written

    def _write_success(self, value: Any) -> str:
        result = self._dump(value)
        outcome = outcomes.succeeded(self._job, result, self._seconds())
        outcome.keep = self._task.keep
        if self._committed is not None or not self._holder.record(outcome):
            raise ClaimLost(f"Job {self._job.id} was taken over; rolled back.")
        self._written = result
        return result

    def _succeeded(self, result: str) -> Outcome | None:
        """Announce the success; return its outcome, if that is not committed."""
        outcome = outcomes.succeeded(self._job, result, self._seconds())
        outcome.keep = self._task.keep
        if events.has_receivers(task_finished):
            load = self._typed.load if self._typed else json.loads
            self._send_finished(outcome, _return_value=load(result))
        events.ended(self._job, self._holder.worker_id, outcome)
        return outcome if self._committed is None else None

    def _failed(self, error: BaseException) -> Outcome | None:
        """Return the outcome for an exception; called while it is being handled."""
        if isinstance(error, self._holder.reraise):
            raise error
        if self._committed is not None:
            job = self._job
            logger.exception("Job id=%s task=%s raised after its end", job.id, job.task)
            return self._succeeded(self._committed)
        if isinstance(error, ClaimLost):
            logger.warning("Claim lost: %s", error)
            return None
        if self._holder.is_cancelled(self._job):
            error = outcomes.as_cancel(error, self._holder.request_for(self._job))
        if isinstance(error, TaskTimeout) and not error.args:
            error.args = (too_long(self._task.seconds_allowed),)
        outcome = outcomes.raised(
            self._job,
            self._task,
            self._holder.worker_id,
            error,
            database=self._holder.database,
            result=self._current_result() if self._is_readable else None,
        )
        outcome.duration, outcome.keep = self._seconds(), self._task.keep
        if outcome.state != JobState.READY and events.has_receivers(task_finished):
            # Inside the except block: receivers may ask for the traceback.
            self._send_finished(outcome)
        events.ended(self._job, self._holder.worker_id, outcome, error)
        return outcome

    def _send_finished(self, outcome: Outcome, **more: Any) -> None:
        if not self._is_readable:
            what = self._job, self._holder.worker_id, outcome
            return events.finished(partial(results.unrun_result, *what))
        result = self._current_result()
        results.end(result, outcome, **more)
        events.deliver(task_finished, self._holder.sender, task_result=result)

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _drop(value: Any) -> str:
    raise Cancel
