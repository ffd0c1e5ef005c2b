"""Run the jobs that a test enqueued, or look at them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from dbqueue import maintenance, payload, registry
from dbqueue.backend import DatabaseBackend, backend_of
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.django_tasks import AnyTask
from dbqueue.exceptions import DbqueueError, TaskNotAllowed, TaskNotFound
from dbqueue.ids import uuid7
from dbqueue.models import Job, JobState
from dbqueue.results import JobResult
from dbqueue.testing.backends import RecordingBackend
from dbqueue.worker.executor import Executor
from dbqueue.worker.intake import left_to_others


def run_jobs(
    *,
    backend: str = "default",
    queues: Sequence[str] = ("*",),
    scheduled: bool = False,
    limit: int = 1000,
) -> list[JobResult]:
    """Run all jobs that are ready, and those they enqueue, here and now.

    No threads, no sleeping, on the connection of the test. With `scheduled`, jobs that
    wait for their time (retries, too) are taken as due. Returns the result of each
    job that ran, in the order in which they ended. Raises DbqueueError after `limit`
    attempts: a job that retries itself would never end.
    """
    runner = _InlineWorker(backend_of(backend), queues)
    ran: dict[UUID, None] = {}  # an ordered set
    with runner.registered():
        while runner.attempts < limit:
            if scheduled:
                runner.make_all_due()
            maintenance.promote(runner.alias)
            job = runner.run_next()
            if job is None:
                ids = [str(id) for id in ran if id not in runner.not_run]
                return [runner.backend.get_result(id) for id in ids]
            ran.pop(job.id, None)
            ran[job.id] = None
    raise DbqueueError(f"run_jobs() stopped at its limit of {limit} attempts.")


def enqueued(
    task: AnyTask | str | None = None, *, backend: str = "default"
) -> list[JobResult]:
    """Return the jobs that wait, of the task or of all, oldest first."""
    known = backend_of(backend)
    path = None if task is None else registry.as_task(task).module_path
    if isinstance(known, RecordingBackend):
        results = known.results
    else:
        rows = Job.objects.using(known.database).exclude(state=JobState.RUNNING)
        results = [known.get_result(str(row.pk)) for row in rows.order_by("pk")]
    return [r for r in results if path is None or r.task.module_path == path]


def assert_enqueued(
    task: AnyTask | str,
    *,
    args: Sequence[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
    count: int | None = None,
    backend: str = "default",
) -> list[JobResult]:
    """Assert that jobs of the task wait, and return them.

    `args` and `kwargs` must match where given; `count` is how many, default at least
    one. Raises AssertionError with what does wait.
    """
    found = enqueued(task, backend=backend)
    wanted_args, wanted_kwargs = payload.arguments(args or (), kwargs or {})
    matching = [
        result
        for result in found
        if (args is None or result.args == wanted_args)
        and (kwargs is None or result.kwargs == wanted_kwargs)
    ]
    if len(matching) == count or (count is None and matching):
        return matching
    others = "".join(f"\n  args={r.args} kwargs={r.kwargs}" for r in found)
    raise AssertionError(
        f"{len(matching)} jobs of {registry.as_task(task).module_path} wait, expected "
        f"{'at least 1' if count is None else count}. Of this task: {others or 'none'}"
    )


class _InlineWorker:
    """Claims one job after the other and runs it in the caller's thread."""

    def __init__(self, backend: DatabaseBackend, queues: Sequence[str]) -> None:
        self.backend = backend
        self.alias = backend.database
        self.attempts = 0
        self._id: UUID = uuid7()
        self.not_run: set[UUID] = set()
        self._scan = Scan([queues])
        self._executor = Executor(
            self.alias,
            self._id,
            self._settle,
            type(backend),
            self._note_progress,
            # Who presses Ctrl-C during a test means the test.
            reraise=(KeyboardInterrupt,),
        )

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Have a row among the workers meanwhile: without one, nothing is claimed."""
        maintenance.register(
            self.alias,
            self._id,
            name="run_jobs",
            host="",
            pid=0,
            queues="*",
            lease=3600,
        )
        try:
            yield
        finally:
            maintenance.retire(self.alias, self._id)

    def make_all_due(self) -> None:
        waiting = Job.objects.using(self.alias).filter(state=JobState.SCHEDULED)
        waiting.exclude(pk__in=self.not_run).update(
            run_after=self.backend.dialect.clock()
        )

    def run_next(self) -> ClaimedJob | None:
        for job in self.backend.dialect.claim(self._scan, self._id, 1):
            self.attempts += 1
            outcome = self._run(job)
            if outcome is not None:
                self._settle(outcome)
            return job
        return None

    def _run(self, job: ClaimedJob) -> Outcome | None:
        try:
            task = registry.resolve(job.task)
        except TaskNotAllowed as error:
            self.not_run.add(job.id)
            return self._executor.refuse(job, error)
        except TaskNotFound as error:
            self.not_run.add(job.id)
            return left_to_others(job, error)
        return self._executor.run(job, task)

    def _settle(self, outcome: Outcome) -> bool:
        return bool(self.backend.dialect.settle(self._id, [outcome]))

    def _note_progress(self, job: ClaimedJob, text: str) -> None:
        self.backend.dialect.note_progress(self._id, [(job.id, job.attempt, text)])
