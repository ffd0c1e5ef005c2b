"""dbqueue: the task queue that lives in your Django project's own database."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.exceptions import Cancel as Cancel
    from dbqueue.exceptions import Retry as Retry
    from dbqueue.exceptions import TaskTimeout as TaskTimeout
    from dbqueue.exceptions import UserVisibleError as UserVisibleError
    from dbqueue.jobs.enqueue import aenqueue as aenqueue
    from dbqueue.jobs.enqueue import enqueue as enqueue
    from dbqueue.jobs.enqueue import enqueue_many as enqueue_many
    from dbqueue.tasks.context import JobContext as JobContext
    from dbqueue.tasks.context import bind_context as bind_context
    from dbqueue.tasks.context import current_context as current_context
    from dbqueue.tasks.decorator import task as task
    from dbqueue.tasks.logs import JobFilter as JobFilter
    from dbqueue.tasks.results import JobResult as JobResult
    from dbqueue.tasks.task import Task as Task
    from dbqueue.tasks.timing import time_limit as time_limit
    from dbqueue.tasks.unique import Unique as Unique

_HOMES = {
    "Cancel": "exceptions",
    "JobContext": "tasks.context",
    "JobFilter": "tasks.logs",
    "JobResult": "tasks.results",
    "Retry": "exceptions",
    "Task": "tasks.task",
    "TaskTimeout": "exceptions",
    "Unique": "tasks.unique",
    "UserVisibleError": "exceptions",
    "aenqueue": "jobs.enqueue",
    "bind_context": "tasks.context",
    "current_context": "tasks.context",
    "enqueue": "jobs.enqueue",
    "enqueue_many": "jobs.enqueue",
    "task": "tasks.decorator",
    "time_limit": "tasks.timing",
}


def __dir__() -> list[str]:
    return [*globals(), *__getattr__("__all__")]


def __getattr__(name: str) -> Any:
    # Django imports this package to read the app's configuration, before the models
    # and the tasks framework can be imported: the names are fetched on first use.
    if name in _HOMES:
        return getattr(import_module(f"dbqueue.{_HOMES[name]}"), name)
    if name == "__all__":
        return [*_HOMES, *import_module("dbqueue.wings").listed("public")]
    # Importing a module of this package asks for it here first, also in the sandbox,
    # which does without Django and so without wings.
    if "." in name or find_spec(f"dbqueue.{name}") is not None:
        raise AttributeError(f"module 'dbqueue' has no attribute {name!r}")
    return import_module("dbqueue.wings").attribute("public", name)
