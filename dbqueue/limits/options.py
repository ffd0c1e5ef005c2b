"""The options of @task: `limit` and `fair`."""

from typing import Any

from dbqueue.limits import registry
from dbqueue.tasks.task import Task


def _limit(task: Task[..., Any], value: Any) -> None:
    registry.declare(task, limit=value)


def _fair(task: Task[..., Any], value: Any) -> None:
    registry.declare(task, fair=value)


OPTIONS = {"limit": _limit, "fair": _fair}
