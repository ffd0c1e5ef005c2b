"""What Celery's tasks raise, and catch."""

from typing import Any

from dbqueue.exceptions import Cancel, DbqueueError, TaskTimeout, WorkerLost
from dbqueue.exceptions import Retry as _Retry

# The job is stopped by one exception, in its own thread.
SoftTimeLimitExceeded = TaskTimeout
TimeLimitExceeded = TaskTimeout
TimeoutError = TimeoutError
WorkerLostError = WorkerLost
CeleryError = DbqueueError
TaskError = DbqueueError


class NotRegistered(DbqueueError, KeyError):
    """There is no task of this name."""

    __str__ = Exception.__str__


class ImproperlyConfigured(DbqueueError):
    """For code that catches it; dbqueue raises Django's."""


class OperationalError(DbqueueError):
    """For code that catches it: a broker that is away. There is none."""


class MaxRetriesExceededError(DbqueueError):
    """The task was retried as often as it may be."""

    def __init__(
        self, *args: Any, task_args: Any = (), task_kwargs: Any = None
    ) -> None:
        super().__init__(*args)
        self.task_args, self.task_kwargs = task_args, task_kwargs or {}


class TaskRevokedError(DbqueueError):
    """The task was cancelled; raised by AsyncResult.get()."""


class Ignore(Cancel):
    """Raise it to end a task of which nothing is to be kept; it is REVOKED."""

    state = "IGNORED"


class Reject(Ignore):
    """Raise it to end a task; there is no broker that could deliver it again."""

    state = "REJECTED"

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        if requeue:
            raise NotImplementedError(
                "Reject(requeue=True) asks a broker, and there is none. "
                "Raise self.retry(countdown=0)."
            )
        super().__init__(str(reason or ""))
        self.reason, self.requeue = reason, requeue


class Retry(_Retry):
    """The task runs again later; raised by Task.retry()."""

    def __init__(
        self, message: str = "", exc: BaseException | None = None, when: float = 0.0
    ) -> None:
        super().__init__(message or (repr(exc) if exc else ""), after=when)
        self.exc = exc
        self.when = when
        # Those of the next run, where they are others.
        self.arguments: tuple[Any, Any] | None = None
