"""Run the jobs that a test enqueued, or look at them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async

from dbqueue.backend import DatabaseBackend, backend_of
from dbqueue.dialects import hooks
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.exceptions import DbqueueError, TaskNotAllowed, TaskNotFound
from dbqueue.ids import uuid7
from dbqueue.jobs import expiry, moves
from dbqueue.maintenance import leases
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.gates import make_ready
from dbqueue.models import Job, JobState
from dbqueue.tasks import defaults, payload, registry, typed
from dbqueue.tasks.framework import AnyTask
from dbqueue.tasks.results import JobResult
from dbqueue.testing.backends import RecordingBackend
from dbqueue.testing.surroundings import Clock, contained, run_hooks
from dbqueue.worker.loop.dispatch import not_run
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder


def run_jobs(
    *,
    backend: str = "default",
    queues: Sequence[str] = ("*",),
    scheduled: bool = False,
    until: datetime | timedelta | None = None,
    on_commit: bool = False,
    limit: int = 1000,
) -> list[JobResult]:
    """Run all jobs that are ready, and those they enqueue, here and now.

    No threads, no sleeping, on the test's connection. With `scheduled`, jobs that are
    not due yet are taken as due. `until`, a moment or a timedelta from now, goes on in
    time instead; default timezone.now(). With `on_commit`, hooks that wait for the
    test's commit are called first, and after each job.

    Returns the results of what ran, in the order of their ends. Raises DbqueueError
    after `limit` attempts: a job that retries itself would never end. Raises TypeError
    for `queues` that are one text, and for another `until`.
    """
    if isinstance(queues, str):
        raise TypeError(f"queues={queues!r} must be a list, such as [{queues!r}].")
    runner = _InlineWorker(backend_of(backend), queues)
    clock = Clock(runner.alias, until)
    ran: dict[UUID, None] = {}  # an ordered set
    runner.register()
    try:
        while runner.attempts < limit:
            if on_commit:
                run_hooks()
            if scheduled:
                moves.make_due(runner.alias, excluding=runner.not_run)
            make_ready(runner.alias)
            if job := runner.run_next():
                ran.pop(job.id, None)
                ran[job.id] = None
            elif expire(runner.alias) is None and not clock.advance(
                excluding=runner.not_run
            ):
                ended = (str(id) for id in ran if id not in runner.not_run)
                return list(map(runner.backend.get_result, ended))
    finally:
        clock.put_back()
        leases.retire(runner.alias, runner.id)
    raise DbqueueError(f"run_jobs() stopped at its limit of {limit} attempts.")


async def arun_jobs(**options: Any) -> list[JobResult]:
    """See run_jobs(), which has the same options."""
    return await sync_to_async(run_jobs)(**options)


def enqueued(
    task: AnyTask | str | None = None, *, backend: str = "default"
) -> list[JobResult]:
    """Return the jobs that are pending, of the task or of all, oldest first."""
    known = backend_of(backend)
    path = None if task is None else registry.as_task(task).module_path
    if isinstance(known, RecordingBackend):
        results = known.results
    else:
        rows = Job.objects.using(known.database).exclude(state=JobState.RUNNING)
        results = [
            known.get_result(str(row.pk)) for row in rows.order_by("enqueued_at", "pk")
        ]
    return [r for r in results if path is None or r.task.module_path == path]


def assert_enqueued(
    task: AnyTask | str,
    *,
    args: Sequence[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    count: int | None = None,
    backend: str = "default",
) -> list[JobResult]:
    """Assert that jobs of the task are pending, and return them.

    `args` and `kwargs` must match where given; `count` is how many, default at least
    one. Raises AssertionError with those that are pending.
    """
    found = enqueued(task, backend=backend)
    known = registry.as_task(task)
    is_typed = backend_of(backend).encoder(known) is typed.call
    normalize = typed.normalize if is_typed else payload.arguments
    wanted_args, wanted_kwargs = normalize(args or (), kwargs or {})
    matching = [
        result
        for result in found
        if (args is None or result.args == wanted_args)
        and (kwargs is None or result.kwargs == wanted_kwargs)
    ]
    if len(matching) == count or (count is None and matching):
        return matching
    others = "".join(f"\n  args={r.args} kwargs={r.kwargs}" for r in found)
    jobs, are = ("job", "is") if len(matching) == 1 else ("jobs", "are")
    raise AssertionError(
        f"{len(matching)} {jobs} of {registry.as_task(task).module_path} {are} "
        f"pending, expected {'at least 1' if count is None else count}. "
        f"Of this task: {others or 'none'}"
    )


class _InlineWorker:
    """Claims one job after the other and runs it in the caller's thread."""

    def __init__(self, backend: DatabaseBackend, queues: Sequence[str]) -> None:
        self.backend = backend
        self.alias = backend.database
        self.attempts = 0
        self.id: UUID = uuid7()
        self.not_run: set[UUID] = set()
        self._scan = Scan([queues])
        self._holder = Holder(
            worker_id=self.id,
            database=self.alias,
            sender=type(backend),
            record_now=backend.dialect.record,
            note=backend.dialect.note_progress,
            # Ctrl-C during a test is meant for the test.
            reraise=(KeyboardInterrupt,),
        )

    def register(self) -> None:
        """Write a worker's row: without one, nothing is claimed."""
        leases.register(
            self.alias,
            self.id,
            name="run_jobs",
            host="",
            pid=0,
            queues="*",
            lease=3600,
        )

    def run_next(self) -> ClaimedJob | None:
        job = self._claim()
        if job is not None:
            self.attempts += 1
            outcome = self._run(job)
            if outcome is not None:
                self._holder.record(outcome)
        return job

    def _claim(self) -> ClaimedJob | None:
        token = hooks.here.set(True)
        try:
            while True:
                for job in self.backend.dialect.claim(self._scan, self.id, 1):
                    return job
                if not self._scan.more:
                    return None
        finally:
            hooks.here.reset(token)

    def _run(self, job: ClaimedJob) -> Outcome | None:
        if job.fate is not None:
            self.not_run.add(job.id)
            return expiry.end(job, self.id)
        try:
            task = registry.resolve(job.task)
        except (TaskNotAllowed, TaskNotFound) as error:
            self.not_run.add(job.id)
            return not_run(job, error, self._holder, self._scan.unknown)
        placed = defaults.placed(task, job.queue_name, job.backend)
        return Attempt(job, placed, self._holder).run_to_end(contained())
