"""dbqueue: the task queue that lives in your Django project's own database."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.context import bind_context, current_context
    from dbqueue.declaring import task
    from dbqueue.enqueueing import aenqueue, enqueue, enqueue_many
    from dbqueue.exceptions import Cancel, Retry, TaskTimeout
    from dbqueue.results import JobContext, JobResult
    from dbqueue.tasks import Task

__all__ = [
    "Cancel",
    "JobContext",
    "JobResult",
    "Retry",
    "Task",
    "TaskTimeout",
    "aenqueue",
    "bind_context",
    "current_context",
    "enqueue",
    "enqueue_many",
    "task",
]

_HOMES = {
    "Cancel": "exceptions",
    "JobContext": "results",
    "JobResult": "results",
    "Retry": "exceptions",
    "Task": "tasks",
    "TaskTimeout": "exceptions",
    "aenqueue": "enqueueing",
    "bind_context": "context",
    "current_context": "context",
    "enqueue": "enqueueing",
    "enqueue_many": "enqueueing",
    "task": "declaring",
}


def __getattr__(name: str) -> Any:
    # Django imports this package to read the app's configuration, before the models
    # and the tasks framework can be imported: the names are fetched on first use.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue' has no attribute {name!r}")
    return getattr(import_module(f"dbqueue.{_HOMES[name]}"), name)
