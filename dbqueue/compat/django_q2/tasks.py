"""What projects import from django_q.tasks, on jobs of dbqueue: change the import.

There is no cluster: `manage.py runworker` runs the tasks. The guide says what differs.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from django.utils import timezone

from dbqueue.compat.django_q2 import calls, results, schedules
from dbqueue.compat.django_q2.results import Task
from dbqueue.models import Job

__all__ = [
    "AsyncTask",
    "Chain",
    "Iter",
    "Schedule",
    "Task",
    "async_chain",
    "async_iter",
    "async_task",
    "count_group",
    "delete_cached",
    "delete_group",
    "fetch",
    "fetch_group",
    "queue_size",
    "result",
    "result_group",
    "schedule",
]

T = TypeVar("T")
_PAUSE = 0.02  # seconds between two looks of who waits


class Schedule:
    """The types of schedules. The rows are those of dbqueue's own Schedule."""

    ONCE, MINUTES, HOURLY, DAILY = "O", "I", "H", "D"
    WEEKLY, BIWEEKLY, MONTHLY, BIMONTHLY = "W", "BW", "M", "BM"
    QUARTERLY, YEARLY, CRON = "Q", "Y", "C"


def async_task(func: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> str:
    """Enqueue a call, in the caller's transaction, and return its id.

    Raises what dbqueue.enqueue() raises, and NotImplementedError for an option that is
    refused.
    """
    own, options = calls.parted(kwargs)
    job = calls.enqueue(calls.path_of(func), args, own, options)
    return UUID(job.id).hex


def result(task_id: Any, wait: float = 0, cached: Any = False) -> Any:
    """Return what a task returned, or why it failed; None before it has ended.

    `task_id` is its id or its name, `wait` are milliseconds; below 0, for ever.
    """
    found = fetch(task_id, wait)
    return None if found is None else found.result


def fetch(task_id: Any, wait: float = 0, cached: Any = False) -> Task | None:
    """Return a task that has ended; see result()."""
    return _awaited(lambda: results.ended(task_id), wait)


def result_group(
    group_id: Any,
    failures: bool = False,
    wait: float = 0,
    count: int | None = None,
    cached: Any = False,
) -> list[Any] | None:
    """Return what the tasks of a group returned, and with `failures` why some failed.

    With `count`, once so many have ended. None without any.
    """
    found = fetch_group(group_id, failures, wait, count)
    return None if found is None else [one.result for one in found]


def fetch_group(
    group_id: Any,
    failures: bool = True,
    wait: float = 0,
    count: int | None = None,
    cached: Any = False,
) -> list[Task] | None:
    """Return the tasks of a group that have ended; see result_group()."""

    def found() -> list[Task] | None:
        if count and results.count(str(group_id), failures=False) < count:
            return None
        return results.group(str(group_id), failures=failures) or None

    return _awaited(found, wait)


def count_group(group_id: Any, failures: bool = False, cached: Any = False) -> int:
    """Count the tasks of a group that have ended, or with `failures` have failed."""
    return results.count(str(group_id), failures=failures)


def delete_group(group_id: Any, tasks: bool = False, cached: Any = False) -> int:
    """Forget a group, and with `tasks` the records of its jobs; return how many."""
    return results.delete(str(group_id), tasks=tasks)


def delete_cached(task_id: Any, broker: Any = None) -> None:
    """Do nothing: results are in the history, and are pruned by their age."""


def queue_size(broker: Any = None) -> int:
    """Count the jobs that wait for a worker."""
    return Job.objects.using(results.alias()).ready().count()


def schedule(
    func: Callable[..., Any] | str,
    *args: Any,
    name: str | None = None,
    hook: str | None = None,
    schedule_type: str = Schedule.ONCE,
    minutes: int | None = None,
    repeats: int = -1,
    next_run: datetime | None = None,
    cron: str | None = None,
    cluster: str | None = None,
    intended_date_kwarg: str | None = None,
    **kwargs: Any,
) -> Any:
    """Make a schedule, and return the row of dbqueue's own.

    `repeats` is how often it runs, below 0 for ever. Raises InvalidSchedule, and
    ScheduleNameTaken where django-q2 raises IntegrityError.
    """
    given = schedules.Given(
        func=calls.path_of(func),
        args=args,
        kwargs=kwargs,
        kind=schedule_type,
        next_run=_aware(next_run or timezone.now()),
        name=name,
        hook=hook,
        minutes=minutes,
        repeats=repeats,
        cron=cron,
        cluster=cluster,
        intended_date_kwarg=intended_date_kwarg,
    )
    if schedule_type == Schedule.CRON:
        given.next_run = None  # the line says it
    return schedules.made(given).row


def async_chain(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("async_chain()", "Enqueue the next task at the end of the one before.")


def async_iter(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("async_iter()", "Call async_task() for each, with one group=.")


class Chain:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        async_chain()


class Iter:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        async_iter()


class AsyncTask:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("AsyncTask", "Call async_task().")


def _refuse(what: str, way_out: str) -> NoReturn:
    raise NotImplementedError(
        f"{what} is not supported by dbqueue.compat.django_q2. {way_out}"
    )


def _awaited(find: Callable[[], T | None], wait: float) -> T | None:
    ends_at = time.monotonic() + wait / 1000
    while (found := find()) is None:
        if wait >= 0 and time.monotonic() >= ends_at:
            return None
        time.sleep(_PAUSE)
    return found


def _aware(moment: datetime) -> datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment
