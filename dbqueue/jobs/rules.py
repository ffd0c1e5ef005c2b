"""What a task's Unique says, as the database has to know it."""

from typing import Any

from dbqueue import conf
from dbqueue.dialects.placing import Rule
from dbqueue.models import UniqueUntil
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.task import Task
from dbqueue.tasks.unique import Unique

_UNTIL = {"finished": UniqueUntil.FINISHED, "started": UniqueUntil.STARTED, None: None}


def rule_of(task: Task[..., Any], unique: Unique) -> Rule:
    """Return how long a key of the task is taken, and what then becomes of others.

    Raises InvalidTask if the history forgets sooner.
    """
    if unique.cooldown is not None and task.keep is None:
        _check_history(task.module_path, unique.cooldown)
    return Rule(
        until=_UNTIL[unique.until],
        replaces=unique.on_conflict == "replace",
        delay=unique.debounce,  # type: ignore[arg-type]  # seconds by now, as below
        max_wait=unique.max_wait,  # type: ignore[arg-type]
        throttle=unique.throttle,  # type: ignore[arg-type]
        cooldown=unique.cooldown,  # type: ignore[arg-type]
    )


def _check_history(path: str, cooldown: Any) -> None:
    settings = conf.current()
    for name in ("keep_successful", "keep_failed"):
        kept = getattr(settings, name)
        if kept is not None and kept < cooldown:
            raise InvalidTask(
                f"The cooldown of {path!r} is {cooldown!r} s, and is looked up in the "
                f"history, where DBQUEUE[{name.upper()!r}] keeps jobs for {kept!r} s. "
                "Give the task keep= of no less."
            )
