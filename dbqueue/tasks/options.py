"""What the options of a task may be, and the errors for what they may not be."""

import inspect
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from dbqueue.backoff import LONGEST
from dbqueue.conf import nearest
from dbqueue.tasks import keys
from dbqueue.tasks.framework import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    InvalidTask,
    InvalidTaskBackend,
    task_backends,
)
from dbqueue.tasks.unique import Unique

ExceptionClasses = type[BaseException] | Sequence[type[BaseException]]

# A queue that every entry has, for what operators ask of many jobs at once.
OPERATIONS = "operations"
PATH_LENGTH = 255  # what the column of a task's path holds
CODECS = ("json", "typed")
MAX_ATTEMPTS_LIMIT = 32_767  # what the smallint column holds


def job_id(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise InvalidTask(f"job_id={value!r} is not a UUID.") from None


def exception_classes(
    option: str, given: ExceptionClasses
) -> tuple[type[BaseException], ...]:
    classes = tuple(given) if isinstance(given, list | tuple | set) else (given,)
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise InvalidTask(f"{option}={given!r}: {cls!r} is not an exception class.")
    return classes


def paths(option: str, given: Any) -> tuple[str, ...]:
    """Return dotted paths as a tuple. Raises InvalidTask for what is none."""
    many = (given,) if isinstance(given, str) else given
    for path in many if isinstance(many, list | tuple) else [many]:
        parts = path.split(".") if isinstance(path, str) else []
        if len(parts) < 2 or not all(part.isidentifier() for part in parts):
            raise InvalidTask(
                f"{option}={given!r}: {path!r} is not a dotted path such as "
                "'app.tasks.send'."
            )
        check_path(path)
    return tuple(many)


def check(task: Any) -> None:
    _check_function(task.func)
    if inspect.isfunction(task.func):  # Django refuses the rest
        check_path(task.module_path)
    check_limits(task.max_attempts, task.timeout, task.backoff)
    check_codec(task.codec)
    check_keep(task.keep, task.keep_result)
    check_expires(task.expires, task.run_after)
    check_unique(task)
    if not isinstance(task.atomic, bool):
        raise InvalidTask(f"atomic={task.atomic!r} must be True or False.")
    if task.atomic and inspect.iscoroutinefunction(task.func):
        raise InvalidTask(
            f"{task.module_path!r} is async and atomic; Django has no transactions in "
            "async code. Make the function sync, or drop atomic=True."
        )


def check_limits(attempts: Any, timeout: Any, backoff: Any) -> None:
    if attempts is not None and (
        not _is_number(attempts, int) or not 1 <= attempts <= MAX_ATTEMPTS_LIMIT
    ):
        raise InvalidTask(
            f"max_attempts={attempts!r} must be a whole number from 1 to "
            f"{MAX_ATTEMPTS_LIMIT}; 1 means: never retry."
        )
    if timeout is not None and (
        not _is_number(timeout, int | float)
        or not (0 < timeout <= LONGEST or timeout == math.inf)
    ):
        raise InvalidTask(f"timeout={timeout!r} must be seconds above 0, or None.")
    if not _is_backoff(backoff):
        raise InvalidTask(
            f"backoff={backoff!r} must be seconds from 0 to {LONGEST:.0f}, a "
            "sequence of them, or a function of (exception, task_result)."
        )


def check_path(path: str) -> None:
    if len(path) > PATH_LENGTH or not path.isprintable():
        raise InvalidTask(
            f"The path of the task is {path!r:.300}; it must be printable, and have at "
            f"most {PATH_LENGTH} characters, as its column has. Rename the function or "
            "its module."
        )


def check_backend(alias: Any) -> None:
    if not isinstance(alias, str) or alias not in task_backends.settings:
        known = task_backends.settings
        raise InvalidTaskBackend(
            f"Backend {alias!r} doesn't exist: no entry of TASKS has this alias."
            f"{nearest(str(alias), known)} TASKS has: {', '.join(known) or 'nothing'}."
        )


def check_codec(name: Any) -> None:
    if name is not None and name not in CODECS:
        raise InvalidTask(f"codec={name!r} must be one of {', '.join(CODECS)}.")


def check_keep(seconds: Any, result: Any) -> None:
    if seconds is not None and (
        not _is_number(seconds, int | float)
        or not (0 <= seconds <= LONGEST or seconds == math.inf)
    ):
        raise InvalidTask(
            f"keep={seconds!r} must be seconds from 0 to {LONGEST:.0f}, or math.inf."
        )
    if result not in (None, True, False):
        raise InvalidTask(f"keep_result={result!r} must be True or False.")


def check_expires(deadline: Any, run_after: Any = None) -> None:
    if deadline is None:
        return
    if isinstance(deadline, datetime):
        if timezone.is_naive(deadline) and settings.USE_TZ:
            raise InvalidTask(f"expires={deadline!r} must be an aware datetime.")
        is_fit = 1970 <= deadline.year <= 9000
    else:
        seconds = deadline
        if isinstance(deadline, timedelta):
            seconds = deadline.total_seconds()
        is_fit = _is_number(seconds, int | float) and 0 < seconds <= LONGEST
    if not is_fit:
        raise InvalidTask(
            f"expires={deadline!r} must be seconds above 0, a timedelta, ten years at "
            "most, or a datetime from 1970 to 9000."
        )
    waits = run_after.total_seconds() if isinstance(run_after, timedelta) else 0.0
    if not isinstance(deadline, datetime) and seconds <= waits:
        raise InvalidTask(
            f"expires={deadline!r} comes before run_after={run_after!r}: the job would "
            "never be started. Both count from the enqueue."
        )


def check_unique(task: Any) -> None:
    unique = task.unique
    if unique is None:
        return
    if not isinstance(unique, Unique):
        raise InvalidTask(
            f"unique={unique!r} must be a dbqueue.Unique, such as Unique(key='id')."
        )
    keys.check("unique", unique.key, task)
    cooldown = unique.cooldown
    if cooldown is not None and task.keep is not None and task.keep < cooldown:
        raise InvalidTask(
            f"keep={task.keep!r} of {task.module_path!r} is below its cooldown of "
            f"{cooldown!r} s, which is looked up in the history."
        )
    if unique.debounce is not None:
        check_expires(task.expires, timedelta(seconds=float(unique.debounce)))  # type: ignore[arg-type]
    if unique.debounce is not None and task.run_after is not None:
        raise InvalidTask(
            f"run_after={task.run_after!r} of {task.module_path!r}: the debounce says "
            "when it runs. Use it without run_after."
        )


def check_queue_name(name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        raise InvalidTask(f"queue_name={name!r} must be 1 to 100 characters.")
    # In `--queues` a comma separates names, and the others would be patterns.
    if not name.isprintable() or any(character in name for character in ",*?[]"):
        raise InvalidTask(
            f"queue_name={name!r} must be printable, without any of , * ? [ ]."
        )


def _check_function(function: Any) -> None:
    if not callable(function) or isinstance(function, type):
        raise InvalidTask(
            f"{function!r} is not a function; a task must be one that is defined at a "
            "module level. Options need their names, as in @task(queue_name='mail')."
        )
    name = getattr(function, "__qualname__", "")
    if "." in name and "<locals>" not in name:
        raise InvalidTask(
            f"Task function must be defined at a module level; {name!r} is a method."
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidTask(
            f"{name!r} is a generator function, whose body a call does not run. "
            "Return a list instead."
        )


def check_priority(priority: Any) -> None:
    if not (
        _is_number(priority, int | float)
        and TASK_MIN_PRIORITY <= priority <= TASK_MAX_PRIORITY
        and priority == int(priority)
    ):
        raise InvalidTask(
            f"priority must be a whole number between {TASK_MIN_PRIORITY} and "
            f"{TASK_MAX_PRIORITY}, not {priority!r}."
        )


def check_run_after(moment: Any) -> None:
    if moment is not None:
        check_moment(moment)


def check_moment(moment: Any) -> None:
    if not isinstance(moment, datetime | timedelta):
        raise InvalidTask(f"run_after={moment!r} must be a datetime or a timedelta.")
    if isinstance(moment, timedelta):
        far = abs(moment) > timedelta(seconds=LONGEST)
    else:
        far = not 1970 <= moment.year <= 9000
    if far:
        raise InvalidTask(
            f"run_after={moment!r} is too far away: a timedelta may be ten years, "
            "a datetime from 1970 to 9000."
        )


def _is_backoff(value: Any) -> bool:
    if value is None or callable(value):
        return True
    if isinstance(value, list | tuple):
        return bool(value) and all(_is_backoff_seconds(item) for item in value)
    return _is_backoff_seconds(value)


def _is_backoff_seconds(value: Any) -> bool:
    return _is_number(value, int | float) and 0 <= value <= LONGEST


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
