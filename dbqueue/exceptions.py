"""What dbqueue raises, and the two exceptions by which a job speaks to its worker."""

from datetime import timedelta
from typing import Any

from dbqueue import backoff, wings


class DbqueueError(Exception):
    """The base of all errors raised by dbqueue."""


class TaskNotFound(DbqueueError):
    """A dotted path leads to no task this process can import."""


class TaskNotAllowed(DbqueueError):
    """A dotted path leads to something that may not be run as a job."""


class InvalidPayload(DbqueueError, TypeError):
    """An argument, a result or a context value does not survive a JSON round trip."""


class PayloadTooLarge(InvalidPayload):
    """An argument list, a result or a context is over `MAX_PAYLOAD` bytes."""


class WrongArguments(DbqueueError, TypeError):
    """The function of a task cannot be called with the arguments that were given."""


class InstanceGone(DbqueueError):
    """A model instance that a job was enqueued with is no longer in its database."""


class InvalidKey(DbqueueError, ValueError):
    """The key of a limit or of a unique job cannot be made of a job's arguments."""


class AlreadyEnqueued(DbqueueError):
    """A unique job was enqueued with `on_conflict="raise"` while another stands.

    `result` is that of the job that stands.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class JobIdTaken(DbqueueError):
    """A client-chosen job id already belongs to another task."""


class NotPausable(DbqueueError, ValueError):
    """What was to be paused is no queue, task, limit or lane that is known."""


class MigrationsNotApplied(DbqueueError):
    """The tables of dbqueue are missing in the database."""


class AtomicUnavailable(DbqueueError):
    """`atomic=True` cannot hold: the job's models live in another database."""


class Expired(DbqueueError):
    """The job expired before it was started."""


class ClaimLost(DbqueueError):
    """The job was taken over by another worker; what this one did is not recorded."""


class WorkerLost(DbqueueError):
    """The worker died or was cut off while the job ran."""


class TaskTimeout(DbqueueError, TimeoutError):
    """The job ran longer than its task's `timeout`."""


class Retry(DbqueueError):
    """Raise inside a job to run it again later; it counts as no failure.

    `after` is a timedelta or seconds, ten years at most; default 0, at once.
    """

    def __init__(self, message: str = "", *, after: float | timedelta = 0.0) -> None:
        super().__init__(message)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        self.after = backoff.bounded(seconds)


class Cancel(DbqueueError):
    """Raise inside a job to end it for good, as CANCELLED."""

    # Who asked for it from outside, and why; None if the job did.
    request: Any = None


class CannotWait(DbqueueError, RuntimeError):
    """The end of a job cannot be waited for here: it would not come, or not be seen."""


class UserVisibleError(DbqueueError):
    """Raise inside a job to end it as FAILED, with words for the person who waits.

    Pages of the job's progress show the first 500 characters of `message`; of any other
    exception they show nothing. With `retry=True` the job is retried before it fails,
    as by other exceptions.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


class MissingExtra(DbqueueError):
    """A package is not installed that an optional part of dbqueue needs."""


def __getattr__(name: str) -> Any:
    # Rows of failed jobs, and projects, name a wing's exceptions by this module.
    return wings.attribute("exceptions", name)
