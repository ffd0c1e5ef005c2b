"""The option `schedule` of @task."""

from typing import Any

from dbqueue.schedules.declared.declarations import schedule
from dbqueue.tasks.task import Task


def declare(task: Task[..., Any], when: Any) -> None:
    """Declare that the task is run at these times, without arguments."""
    schedule(task, when)


OPTIONS = {"schedule": declare}
