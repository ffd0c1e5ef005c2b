"""The option `keep_logs` of @task."""

import logging
from importlib import import_module
from typing import Any

from django.apps import apps

from dbqueue.logs import capture
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import Task


def _keep_logs(task: Task[..., Any], value: Any) -> None:
    level = _level(value)
    for path in (task.module_path, *task.aliases):
        capture.levels.pop(path, None)
        if level is not None:
            capture.levels[path] = level
    if level is not None:
        capture.begin()
        if apps.models_ready:  # or else receivers look once they are
            import_module("dbqueue.logs.receivers").take_part()


def _level(value: Any) -> int | None:
    """Return the level from which on lines are kept; None for none."""
    known = logging.getLevelNamesMapping()
    if value is None or value is False:
        return None
    if value is True:
        return logging.INFO
    level = known.get(value.upper()) if isinstance(value, str) else value
    if not isinstance(level, int) or level < 0:
        raise InvalidTask(
            f"keep_logs={value!r} must be True, False or a level of logging, such as "
            f"{'WARNING'!r}."
        )
    return level


OPTIONS = {"keep_logs": _keep_logs}
