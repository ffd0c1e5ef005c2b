"""Django's tasks framework by its own names: Django's, or on 5.2 the backport's."""

import django

if django.VERSION >= (6, 0):
    from django.tasks import default_task_backend, task
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskContext
    from django.tasks.exceptions import (
        InvalidTask,
        InvalidTaskBackend,
        TaskResultMismatch,
    )

    LOGGER = "django.tasks"
else:
    from django_tasks import default_task_backend, exceptions, task
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskContext
    from django_tasks.exceptions import TaskResultMismatch

    if hasattr(exceptions, "InvalidTask"):  # since the backport's 0.13
        InvalidTask = exceptions.InvalidTask
        InvalidTaskBackend = exceptions.InvalidTaskBackend
    else:
        InvalidTask = exceptions.InvalidTaskError
        InvalidTaskBackend = exceptions.InvalidTaskBackendError
    LOGGER = "django_tasks"

__all__ = [
    "LOGGER",
    "BaseTaskBackend",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskResultMismatch",
    "default_task_backend",
    "task",
]
