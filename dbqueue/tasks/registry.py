"""From a dotted path, a function or another backend's task to the Task that runs."""

import dataclasses
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from inspect import isfunction
from typing import Any

from django.apps import apps

from dbqueue.exceptions import TaskNotAllowed, TaskNotFound
from dbqueue.tasks.decorator import declared_aliases, declared_tasks
from dbqueue.tasks.framework import AnyTask, InvalidTask
from dbqueue.tasks.framework import Task as DjangoTask
from dbqueue.tasks.task import DJANGO_DEFAULTS, Task, unchecked


def as_task(task: AnyTask | Callable[..., Any] | str) -> Task[..., Any]:
    """Return the Task that a task, a function or a dotted path names."""
    if isinstance(task, Task):
        return task
    if isinstance(task, DjangoTask):
        return _adopt(task)
    if isinstance(task, str):
        return resolve(task)
    if isfunction(task):
        if "<locals>" in task.__qualname__ or task.__name__ == "<lambda>":
            raise InvalidTask(
                f"{task.__qualname__!r} is not at a module's top level, where a worker "
                "could find it. Move it there."
            )
        return resolve(f"{task.__module__}.{task.__qualname__}")
    raise InvalidTask(f"{task!r} is neither a task, nor a function, nor a dotted path.")


def resolve(path: str) -> Task[..., Any]:
    """Return the task at a dotted path; each path is looked up once a process.

    Raises TaskNotFound when nothing can be imported from there, TaskNotAllowed when
    what is there is neither a task nor a module-level function of an installed app.
    """
    known = _resolved.get(path)
    if known is None:
        known = _resolved[path] = _look_up(path)
    return known


def is_resolved(path: str) -> bool:
    """Tell whether resolve() knows the path without an import."""
    return path in _resolved


def in_name(path: str) -> Task[..., Any]:
    """Return the task at a path if its module is loaded, else one of its name only.

    It imports nothing, and so is for those who speak of jobs that others run: an import
    may be what ended the job's worker.
    """
    path = str(path)  # of a damaged row, anything
    if path.rpartition(".")[0] in sys.modules or path in declared_aliases:
        with suppress(TaskNotAllowed, TaskNotFound):
            return resolve(path)

    def absent(*args: Any, **kwargs: Any) -> None:
        raise TaskNotFound(f"{path!r} was not imported in this process.")

    absent.__module__, _, absent.__name__ = path.rpartition(".")
    absent.__qualname__ = absent.__name__
    return unchecked(func=absent, **DJANGO_DEFAULTS)


def _look_up(path: str) -> Task[..., Any]:
    if path in declared_aliases:  # whatever was left where it was before
        return declared_aliases[path]
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise TaskNotFound(f"{path!r} is not a dotted path such as 'app.tasks.send'.")
    if "__main__" in parts or _is_in_pythons_library(path):
        # Refused before the import, which runs the code at a module's top level.
        raise TaskNotAllowed(
            f"{path!r} is in Python's own library or in a script; a task must be in a "
            "module of the project that a worker can import."
        )
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module_name), name, None)
    except (Exception, SystemExit) as error:  # the project's code: anything may come
        raise TaskNotFound(
            f"{path!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if found is None:
        raise TaskNotFound(
            f"{path!r} cannot be imported: module {module_name!r} has no {name!r}. "
            "Move the function to a module's top level, or correct the path."
        )
    if isinstance(found, Task):
        return found
    if isinstance(found, DjangoTask):
        return _adopt(found)
    return declared_tasks.get(path) or _plain(path, found)


def _is_in_pythons_library(path: str) -> bool:
    # An app of the project may have the name of a module there: profile, code, ...
    own = path in declared_tasks or apps.get_containing_app_config(path)
    return path.partition(".")[0] in sys.stdlib_module_names and not own


def _plain(path: str, found: Any) -> Task[..., Any]:
    if not isfunction(found) or not apps.get_containing_app_config(found.__module__):
        raise TaskNotAllowed(
            f"{path!r} is neither a task nor a module-level function of an installed "
            "app. Decorate it with @dbqueue.task, or add its app to INSTALLED_APPS."
        )
    own = f"{found.__module__}.{found.__qualname__}"
    if own != path:
        raise TaskNotAllowed(
            f"The function at {path!r} reports its path as {own!r}, which a worker "
            "cannot import. Use its own path, or functools.wraps() if it is wrapped."
        )
    return unchecked(func=found, **DJANGO_DEFAULTS)


def _adopt(task: AnyTask) -> Task[..., Any]:
    fields = dataclasses.fields(DjangoTask)
    return unchecked(**{field.name: getattr(task, field.name) for field in fields})


# What wings import, beside the modules `tasks`, before a worker starts.
importers: list[Callable[[], object]] = []
_resolved: dict[str, Task[..., Any]] = {}
