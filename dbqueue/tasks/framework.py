"""What dbqueue uses of django.tasks: Django's own, or on 5.2 the backport's."""

from typing import TYPE_CHECKING, Any

import django
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django import tasks
    from django.tasks import base, exceptions, signals
    from django.tasks.backends import base as backends

    InvalidTask = exceptions.InvalidTask
    InvalidTaskBackend = exceptions.InvalidTaskBackend
else:
    try:
        import django_tasks as tasks
    except ImportError as missing:
        raise ImproperlyConfigured(
            f"Django {django.get_version()} has no django.tasks. Install the backport: "
            "pip install 'dbqueue-django[backport]'."
        ) from missing
    # The import of `checks` registers them, as Django's does.
    from django_tasks import base, checks, exceptions, signals  # noqa: F401
    from django_tasks.backends import base as backends

    # What Django calls them; until its 0.12 the backport had names of its own.
    if hasattr(exceptions, "InvalidTask"):
        InvalidTask = exceptions.InvalidTask
        InvalidTaskBackend = exceptions.InvalidTaskBackend
    else:
        InvalidTask = exceptions.InvalidTaskError
        InvalidTaskBackend = exceptions.InvalidTaskBackendError

DEFAULT_TASK_BACKEND_ALIAS = tasks.DEFAULT_TASK_BACKEND_ALIAS
DEFAULT_TASK_PRIORITY = base.DEFAULT_TASK_PRIORITY
DEFAULT_TASK_QUEUE_NAME = tasks.DEFAULT_TASK_QUEUE_NAME
TASK_MAX_PRIORITY = base.TASK_MAX_PRIORITY
TASK_MIN_PRIORITY = base.TASK_MIN_PRIORITY
BaseTaskBackend = backends.BaseTaskBackend
Task = base.Task
TaskError = base.TaskError
TaskResultDoesNotExist = exceptions.TaskResultDoesNotExist
TaskResultStatus = tasks.TaskResultStatus
log_task_enqueued = signals.log_task_enqueued
log_task_finished = signals.log_task_finished
log_task_started = signals.log_task_started
task_backends = tasks.task_backends
task_enqueued = signals.task_enqueued
task_finished = signals.task_finished
task_started = signals.task_started

if TYPE_CHECKING:  # generic in the stubs, plain classes at runtime
    from django.tasks.base import Task as GenericTask
    from django.tasks.base import TaskResult as GenericResult

    __all__ = ["GenericResult", "GenericTask"]  # the rest is defined here

    AnyTask = base.Task[..., Any]
    AnyResult = tasks.TaskResult[..., Any]
    AnyContext = tasks.TaskContext[..., Any]
else:
    AnyTask, AnyResult, AnyContext = Task, tasks.TaskResult, tasks.TaskContext

    class GenericTask:
        def __class_getitem__(cls, parameters):
            return Task

    class GenericResult:
        def __class_getitem__(cls, parameters):
            return tasks.TaskResult
