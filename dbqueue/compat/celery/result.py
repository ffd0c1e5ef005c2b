"""AsyncResult: a task by its id alone, wherever it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from traceback import format_exception
from typing import Any

from dbqueue import jobs
from dbqueue.compat.celery import states
from dbqueue.compat.celery.run import carried
from dbqueue.compat.celery.run.facts import Facts, facts_of
from dbqueue.tasks.framework import TaskResultDoesNotExist

_may_join: ContextVar[bool] = ContextVar("celery_may_join", default=False)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Let a task wait for another one inside the block."""
    token = _may_join.set(True)
    try:
        yield
    finally:
        _may_join.reset(token)


class AsyncResult:
    """The state of a task; it is asked for anew each time, and unknown is PENDING."""

    TimeoutError = TimeoutError
    # There are no groups whose results would be children.
    parent = children = None

    def __init__(self, id: Any, *ignored: Any, **more: Any) -> None:
        self.id = str(id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return other == self.id
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def facts(self) -> Facts:
        """Return what is known of the task now; it is one query."""
        try:
            return facts_of(jobs.get(self._job_id))
        except TaskResultDoesNotExist:
            return Facts()

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def _job_id(self) -> str:
        return str(carried.job_id(self.id))

    @property
    def state(self) -> str:
        return self.facts().state

    status = state

    @property
    def result(self) -> Any:
        """What it returned, the exception that it raised, or how far it is."""
        return self.facts().result

    info = result

    @property
    def traceback(self) -> str | None:
        return self.facts().traceback

    @property
    def date_done(self) -> Any:
        return self.facts().date_done

    @property
    def name(self) -> str | None:
        return self.facts().name

    @property
    def args(self) -> Any:
        return self.facts().args

    @property
    def kwargs(self) -> Any:
        return self.facts().kwargs

    @property
    def worker(self) -> str | None:
        return self.facts().worker

    @property
    def retries(self) -> int | None:
        return self.facts().retries

    @property
    def queue(self) -> str | None:
        return self.facts().queue

    def ready(self) -> bool:
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def as_tuple(self) -> Any:
        return (self.id, None), None

    def as_list(self) -> list[str]:
        return [self.id]

    def maybe_throw(self, propagate: bool = True, callback: Any = None) -> Any:
        """Return the result, or raise the exception of a task that has failed."""
        return _answer(self.facts(), propagate=propagate)

    maybe_reraise = maybe_throw

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Any = None,
        on_message: Any = None,
        on_interval: Any = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Wait for the end, and return what the task returned, or raise what it raised.

        Raises TimeoutError after `timeout` seconds. Inside a task it raises CannotWait,
        a RuntimeError, unless disable_sync_subtasks=False or allow_join_result() lets
        it; and inside a transaction always.
        """
        may = _may_join.get() or not disable_sync_subtasks
        value = _answer(self._ended(timeout, allow_in_job=may), propagate=propagate)
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get

    def _ended(self, timeout: float | None, *, allow_in_job: bool) -> Facts:
        return facts_of(jobs.get(self._job_id).wait(timeout, allow_in_job=allow_in_job))

    def forget(self) -> None:
        """Delete the record of a task that has ended."""
        jobs.discard(self._job_id)

    def revoke(self, *ignored: Any, **more: Any) -> None:
        """Cancel the task; one that runs is asked to stop, and then made to."""
        jobs.cancel(self._job_id)


class EagerResult(AsyncResult):
    """The result of a task that was run at once."""

    def __init__(
        self,
        id: Any,
        value: Any,
        state: str,
        traceback: Any = None,
        request: Any = None,
    ) -> None:
        super().__init__(id)
        if isinstance(value, BaseException) and traceback is None:
            traceback = "".join(format_exception(value))
        self._facts = Facts(state=state, result=value, traceback=traceback)
        if request is not None:
            self._facts.name, self._facts.retries = request.task, request.retries
            self._facts.args, self._facts.kwargs = request.args, request.kwargs

    def facts(self) -> Facts:
        return self._facts

    def ready(self) -> bool:
        return True

    def _ended(self, timeout: float | None, *, allow_in_job: bool) -> Facts:
        return self._facts

    def forget(self) -> None:
        """Do nothing: there is no record."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Say that it is revoked; it has ended."""
        self._facts.state = states.REVOKED


def result_from_tuple(given: Any, app: Any = None) -> AsyncResult:
    """Return the result of what as_tuple() returned."""
    return AsyncResult(given[0][0])


def __getattr__(name: str) -> Any:
    if name in ("GroupResult", "ResultSet"):
        raise NotImplementedError(
            f"{name} is not supported by dbqueue.compat.celery yet, as groups are not. "
            "Keep the ids of the tasks, and ask for each."
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _answer(facts: Facts, *, propagate: bool) -> Any:
    failed = isinstance(facts.result, BaseException)
    if propagate and failed and facts.state != states.SUCCESS:
        raise facts.result
    return facts.result
