"""The run that a task is in, and what is called around it."""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(slots=True)
class Request:
    """What a task knows of the run that it is in."""

    id: str | None = None
    args: Any = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    retries: int = 0
    is_eager: bool = False
    called_directly: bool = True
    delivery_info: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    hostname: str | None = None
    # The JobContext, for what Celery has not.
    context: Any = None

    @property
    def task_id(self) -> str | None:
        return self.id


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
