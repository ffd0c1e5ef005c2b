"""What Celery's tasks raise, and catch."""

from typing import Any

from dbqueue.exceptions import Cancel, DbqueueError, TaskTimeout
from dbqueue.exceptions import Retry as _Retry

# The job is stopped by one exception, in its own thread.
SoftTimeLimitExceeded = TaskTimeout
TimeLimitExceeded = TaskTimeout
TimeoutError = TimeoutError


class MaxRetriesExceededError(DbqueueError):
    """The task was retried as often as it may be."""


class TaskRevokedError(DbqueueError):
    """The task was cancelled; raised by AsyncResult.get()."""


class Ignore(Cancel):
    """Raise it to end a task of which nothing is to be kept; it is REVOKED."""


class Reject(Cancel):
    """Raise it to end a task; there is no broker that could deliver it again."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        if requeue:
            raise NotImplementedError(
                "Reject(requeue=True) asks a broker, and there is none. "
                "Raise self.retry(countdown=0)."
            )
        super().__init__(str(reason or ""))


class Retry(_Retry):
    """The task runs again later; raised by Task.retry()."""

    def __init__(
        self, message: str = "", exc: BaseException | None = None, when: float = 0.0
    ) -> None:
        super().__init__(message or (repr(exc) if exc else ""), after=when)
        self.exc = exc
        self.when = when
