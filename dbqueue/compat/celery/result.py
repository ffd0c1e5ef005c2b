"""AsyncResult: a task by its id alone, wherever it is."""

from typing import Any

from dbqueue import jobs
from dbqueue.compat.celery import states
from dbqueue.compat.celery.exceptions import TaskRevokedError
from dbqueue.tasks.framework import TaskResultDoesNotExist

_STATES = {
    "SCHEDULED": states.PENDING,
    "BLOCKED": states.PENDING,
    "READY": states.PENDING,
    "RUNNING": states.STARTED,
    "SUCCESSFUL": states.SUCCESS,
    "FAILED": states.FAILURE,
    "CANCELLED": states.REVOKED,
}


class AsyncResult:
    """The state of a task; it is asked for anew each time, and unknown is PENDING."""

    def __init__(self, id: str, *ignored: Any, **more: Any) -> None:
        self.id = str(id)

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    def __str__(self) -> str:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        found = self._found()
        if found is None:
            return states.PENDING
        if found.state == "RUNNING" and found.progress is not None:
            return "PROGRESS"
        waits = found.state in ("SCHEDULED", "READY", "BLOCKED")
        return states.RETRY if waits and found.attempts else _STATES[found.state]

    status = state

    @property
    def result(self) -> Any:
        """What it returned, the exception that it raised, or how far it is."""
        found = self._found()
        if found is None:
            return None
        if found.state == "SUCCESSFUL":
            return found.return_value
        if found.state in ("FAILED", "CANCELLED"):
            return _exception(found)
        if found.progress is None:
            return None
        told = found.progress
        return {"current": told.value, "total": told.total, "status": told.message}

    info = result

    @property
    def traceback(self) -> str | None:
        found = self._found()
        return str(found.errors[-1].traceback) if found and found.errors else None

    @property
    def date_done(self) -> Any:
        found = self._found()
        return found and found.finished_at

    @property
    def name(self) -> str | None:
        found = self._found()
        return str(found.task.module_path) if found else None

    @property
    def args(self) -> Any:
        found = self._found()
        return found and found.args

    @property
    def kwargs(self) -> Any:
        found = self._found()
        return found and found.kwargs

    def ready(self) -> bool:
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def get(
        self, timeout: float | None = None, propagate: bool = True, **ignored: Any
    ) -> Any:
        """Wait for the end, and return what the task returned, or raise what it raised.

        Raises TimeoutError after `timeout` seconds, and inside a task or a transaction
        CannotWait, a RuntimeError.
        """
        found = jobs.get(self.id).wait(timeout)
        if found.state == "SUCCESSFUL":
            return found.return_value
        error = _exception(found)
        if propagate:
            raise error
        return error

    wait = get

    def forget(self) -> None:
        """Delete the record of a task that has ended."""
        jobs.discard(self.id)

    def revoke(self, terminate: bool = False, **ignored: Any) -> None:
        """Cancel the task; one that runs is asked to stop."""
        jobs.cancel(self.id)

    def _found(self) -> Any:
        try:
            return jobs.get(self.id)
        except TaskResultDoesNotExist:
            return None


class EagerResult:
    """The result of a task that was run at once."""

    def __init__(self, id: str, value: Any, state: str) -> None:
        self.id = self.task_id = id
        self.result = self.info = value
        self.state = self.status = state

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def ready(self) -> bool:
        return True

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def get(
        self, timeout: float | None = None, propagate: bool = True, **ignored: Any
    ) -> Any:
        """Return what the task returned, or raise what it raised."""
        if propagate and isinstance(self.result, Exception):
            raise self.result
        return self.result

    wait = get

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: it has ended."""

    forget = revoke


def _exception(found: Any) -> Exception:
    """Return the exception by which a job ended, of its class if that can be made."""
    if found.state == "CANCELLED":
        return TaskRevokedError(f"Task {found.id} was cancelled.")
    if not found.errors:
        return Exception(f"Task {found.id} failed.")
    last = found.errors[-1]
    words = last.traceback.strip().rpartition("\n")[2].partition(": ")[2]
    try:
        made = last.exception_class(words)
    except Exception:  # any class, with arguments of its own
        made = None
    return made if isinstance(made, Exception) else Exception(words)
