"""The run that a task is in, and what is called around it."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from traceback import format_exception
from typing import Any, ClassVar

from dbqueue.jobs import tracebacks

_MISSING = object()


@dataclass(slots=True)
class Request:
    """What a task knows of the run that it is in."""

    id: str | None = None
    args: Any = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    task: str | None = None
    retries: int = 0
    is_eager: bool = False
    called_directly: bool = True
    delivery_info: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] | None = None
    hostname: str | None = None
    eta: Any = None
    expires: Any = None
    timelimit: Any = (None, None)
    root_id: str | None = None
    parent_id: str | None = None
    # Signatures that are called at the end.
    callbacks: Any = None
    errbacks: Any = None
    ignore_result: bool = False
    # The JobContext, for what Celery has not.
    context: Any = None
    # What the task has said of its end: a state and its meta, and a retry to come.
    told: Any = None
    coming: Any = None
    # Whether a __call__() of a project's own is under way.
    is_protected: bool = False
    # What Celery's has of workflows and of brokers.
    chain: ClassVar[None] = None
    chord: ClassVar[None] = None
    group: ClassVar[None] = None
    origin: ClassVar[None] = None
    reply_to: ClassVar[None] = None
    shadow: ClassVar[None] = None
    utc: ClassVar[bool] = True

    @property
    def task_id(self) -> str | None:
        return self.id

    @property
    def correlation_id(self) -> str | None:
        return self.id

    @property
    def argsrepr(self) -> str:
        return repr(tuple(self.args))

    @property
    def kwargsrepr(self) -> str:
        return repr(self.kwargs)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or a header, by its name."""
        known = getattr(Request, name, _MISSING)
        if known is not _MISSING and not callable(known):
            return getattr(self, name)
        return (self.headers or {}).get(name, default)


class ExceptionInfo:
    """What hooks are told of an exception; as text, its traceback."""

    def __init__(self, error: BaseException) -> None:
        tracebacks.fold(error)
        self.type, self.exception, self.tb = type(error), error, error.__traceback__
        self.exc_info = (self.type, error, self.tb)
        self.traceback = "".join(format_exception(error))
        self.internal = False

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


class Hooks:
    """What is called around a run; a class of a project's own says something here."""

    def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None: ...

    def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None: ...

    def on_failure(
        self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None: ...

    def on_retry(
        self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None: ...

    def after_return(
        self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
    ) -> None: ...


class Current:
    """The task that runs here, as `current_task`; false where none does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __bool__(self) -> bool:
        return bool(running.get())

    def __repr__(self) -> str:
        return repr(self._found())

    def _found(self) -> Any:
        stack = running.get()
        return stack[-1] if stack else None


def retries(context: Any) -> int:
    """Return how often the task was retried: stops of a worker count for none."""
    if context.attempt == 1:
        return 0
    # Models cannot be imported where a project makes its app.
    models = import_module("dbqueue.models")
    backend = context.task_result.task.get_backend()
    rows = models.Job.objects.using(backend.database).filter(pk=context.task_result.id)
    log = models.entries(rows.values_list("attempt_log", flat=True).first())
    asked = sum(entry.get("reason") == "snoozed" for entry in log)
    # Of more attempts than a row keeps, all count.
    return int(asked if len(log) < 49 else context.attempt - 1)


# The tasks that are called here, the innermost last.
running: ContextVar[tuple[Any, ...]] = ContextVar("celery_tasks", default=())
