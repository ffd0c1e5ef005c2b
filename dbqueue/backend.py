"""The django.tasks backend: checks tasks, writes jobs, reads their results."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from dbqueue import conf, dialects
from dbqueue.checks import check_backend, wrong_defaults, wrong_names
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.rows import Calls, Written
from dbqueue.jobs import events, unique, wakeup
from dbqueue.jobs.insert import (
    as_calls,
    insert,
    migrated,
    new_job,
)
from dbqueue.jobs.moves.selection import Selection
from dbqueue.jobs.results import find_row, new_result, stored_result
from dbqueue.jobs.transactions import (
    check_atomic,
    open_elsewhere,
)
from dbqueue.jobs.writing import defer, place, replace_arguments, write_many
from dbqueue.models import Job
from dbqueue.tasks import options, payload, typed
from dbqueue.tasks.defaults import Defaults
from dbqueue.tasks.framework import (
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    task_backends,
)
from dbqueue.tasks.registry import as_task
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task, stored

# Tasks whose options one backend remembers to have checked.
_REMEMBERED = 1000


class DatabaseBackend(BaseTaskBackend):
    """Keeps jobs in the project's own database.

    OPTIONS: `database`, an alias in DATABASES; default where the router writes Job.
    `defaults`, options of tasks that name none; see dbqueue.tasks.defaults.
    `codec`, of tasks that name none: "json", the default, or "typed". `engines`, by
    the queue, to which its jobs are handed.
    """

    task_class = Task
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    # Whether jobs wait in the database, where a worker finds them.
    stores_jobs = True

    OPTIONS = frozenset({"database", "codec", "defaults", "engines"})

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self._codec = self.options.get("codec")
        # By id(): a Task need not be hashable, and this holds on to it.
        self._checked: dict[int, Task[..., Any]] = {}
        given = self.options.get("defaults")
        self.defaults = Defaults(given) if given and isinstance(given, dict) else None
        # A validate_task() of a project's own may say something else each time.
        own = type(self).validate_task is not DatabaseBackend.validate_task
        self._remembered = 0 if own else _REMEMBERED

    @property
    def database(self) -> str:
        """The alias of the database that holds the jobs."""
        alias: str = self.options.get("database") or router.db_for_write(Job)
        return alias

    @property
    def dialect(self) -> dialects.Dialect:
        return dialects.of(self.database)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return check_backend(self)

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask, saying why, for a task that cannot be enqueued here."""
        options.check_priority(task.priority)
        self.check_queue(task.queue_name)
        options.check_run_after(task.run_after)
        if isinstance(task.run_after, timedelta):
            task = stored(task, run_after=None)  # Django's own check knows no timedelta
        if task.queue_name == options.OPERATIONS and self.queues:
            task = stored(task, queue_name=min(self.queues))  # which Django knows
        super().validate_task(task)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Write one job and return its result; one query, in the caller's transaction.

        With a `job_id` that exists already, return that job's result.
        """
        task, database = self._usable(task), self.database
        call = self.encoder(task)(task, args, kwargs)
        job = self._new_job(task, call)
        other = open_elsewhere(database)
        if other:
            calls = Calls([job.id.hex], [job.args], [job.kwargs])
            return defer(self, task, job, calls, other)[0]
        written = None
        if task.unique is not None:
            written, stands = place(self, task, job)
            if stands is not None:
                return stands
        if written is None:
            written = insert(database, job, once=task.job_id is not None)
            if written is None:
                return unique.existing(task, job, self.get_result(str(job.id)))
        self.wake(database, job, written)
        result = new_result(task, job, written, call)
        events.enqueued(type(self), [result])
        return result

    def enqueue_many(
        self, task: Task[..., Any], calls: Iterable[Any]
    ) -> Sequence[JobResult]:
        """See dbqueue.enqueue_many()."""
        demand_no_id(task)
        task, database = self._usable(task), self.database
        job = self._new_job(task, payload.EMPTY)
        checked = as_calls(task, partial(self.encoder(task), task), calls)
        other = open_elsewhere(database)
        if other:
            return defer(self, task, job, checked, other)
        return write_many(self, task, job, checked)

    def get_result(self, result_id: str) -> JobResult:
        """Return the result of a job, unfinished or finished.

        Raises TaskResultDoesNotExist for an unknown, pruned or malformed id, and
        TaskNotFound if the job's task cannot be imported here.
        """
        try:
            id = UUID(str(result_id))
        except ValueError:
            raise TaskResultDoesNotExist(f"{result_id!r} is not a job id.") from None
        with migrated(self.database):
            row = find_row(self.database, id)
        if row is not None:
            return stored_result(row)
        raise TaskResultDoesNotExist(f"No job has the id {result_id!r}.")

    def replace_arguments(self, result: JobResult, args: Any, kwargs: Any) -> None:
        """See JobContext.replace_arguments()."""
        task: Any = result.task
        replace_arguments(self.database, result, self.encoder(task)(task, args, kwargs))

    def choose(self, id: str) -> Selection:
        """Return the job as what may be moved."""
        return Selection(self, self.database, ids=[UUID(id)])

    def encoder(self, task: Task[..., Any]) -> Callable[..., payload.Call]:
        """Return what makes a stored call of (task, args, kwargs)."""
        return typed.call if (task.codec or self._codec) == typed.NAME else payload.call

    def job_of(self, task: Task[..., Any], call: payload.Call) -> NewJob:
        """Return the job of a call as enqueue() would write it.

        Raises what enqueue() raises for the task.
        """
        return self._new_job(self._usable(task), call)

    def _new_job(self, task: Task[..., Any], call: payload.Call) -> NewJob:
        job = new_job(self.alias, task, call)
        if self.defaults is not None:
            job.max_attempts = self.defaults.attempts(task)
        return job

    def _usable(self, task: Any) -> Task[..., Any]:
        """Return the Task; its options are checked when it first comes here."""
        known = task if isinstance(task, Task) else as_task(task)
        if self._checked.get(id(known)) is not known:
            self._check_usable(known)
            if len(self._checked) >= self._remembered:
                self._checked.clear()
            if self._remembered:
                self._checked[id(known)] = known
        if known.atomic:
            check_atomic(known.module_path, database=self.database)
        return known

    def _check_usable(self, task: Task[..., Any]) -> None:
        for words in (*wrong_names(self), *wrong_defaults(self)):
            raise ImproperlyConfigured(words)
        options.check_path(task.module_path)
        self.validate_task(task)
        if task.func.__module__ == "__main__":
            raise InvalidTask(
                f"{task.name!r} is in a script, where no worker would find it. Move it "
                "to a module of the project."
            )

    def check_queue(self, name: Any) -> None:
        """Raise InvalidTask, saying why, for a queue that this entry has not."""
        options.check_queue_name(name)
        if self.queues and name not in self.queues and name != options.OPERATIONS:
            near = conf.nearest(name, self.queues)
            raise InvalidTask(
                f"Queue {name!r} is not valid for backend.{near} "
                f"Add it to TASKS[{self.alias!r}]['QUEUES']."
            )

    def wake(
        self, database: str, job: NewJob, written: Written, calls: Calls | None = None
    ) -> None:
        """Tell workers of a job, or of many, when the transaction has committed."""
        connection = connections[database]
        # In a transaction by hand nothing tells of the commit: looking finds the job.
        if connection.in_atomic_block or connection.autocommit:
            names = [job.queue_name]
            if written.state != "READY" or (calls and calls.more):
                names = wakeup.news(job, written, calls)
            for name in names:
                # Not transaction.on_commit(), which tests replace by one of theirs.
                connection.on_commit(partial(wakeup.announce, database, name))


def demand_no_id(task: Any) -> None:
    """Raise InvalidTask for a task of several jobs that has the id of one."""
    if task.job_id:
        raise InvalidTask("A job_id is for one job; enqueue_many() writes several.")


def backend_of(alias: str) -> DatabaseBackend:
    """Return the dbqueue entry of TASKS. Raises InvalidTaskBackend if it is another."""
    options.check_backend(alias)
    backend = task_backends[alias]
    if not isinstance(backend, DatabaseBackend):
        raise InvalidTaskBackend(f"TASKS[{alias!r}] is not a dbqueue backend.")
    return backend


def our_backends() -> dict[str, DatabaseBackend]:
    """Return the dbqueue entries of TASKS by alias."""
    every = {alias: task_backends[alias] for alias in task_backends.settings}
    return {a: b for a, b in every.items() if isinstance(b, DatabaseBackend)}
