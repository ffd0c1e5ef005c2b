"""What few jobs have besides, in memory: keys that are taken, and moments of expiry."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.placing import KEY
from dbqueue.jobs.insert import of_call
from dbqueue.jobs.unique import answered, standing, winners
from dbqueue.models import JobState
from dbqueue.tasks.payload import Call
from dbqueue.tasks.results import JobResult
from dbqueue.tasks.task import Task, stored
from dbqueue.tasks.unique import Unique

_ENDED = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)


class Keys:
    """The keys of the jobs in a list of results, as a database knows them."""

    def __init__(self, results: list[JobResult]) -> None:
        self._results = results
        self._latest: dict[str, JobResult] = {}

    def take(self, job: NewJob, result: JobResult) -> None:
        """Note the job as the one that has its key, if it has one."""
        if key := (job.more or {}).get(KEY):
            self._latest[key] = result

    def check(self, task: Task[..., Any], calls: Sequence[Call]) -> None:
        """Raise AlreadyEnqueued for a list of which one would raise it."""
        if task.unique is not None and task.unique.on_conflict == "raise":
            keys = [of_call(task, call)[KEY] for call in calls]
            for key in winners(task.unique, keys):
                if other := self._standing(task.unique, key):
                    answered(task.unique, key, other)

    def answer(self, task: Task[..., Any], job: NewJob, call: Call) -> JobResult | None:
        """Return the result of the job that stands in the way, if there is one.

        It is replaced, if the task says so. Raises AlreadyEnqueued.
        """
        unique, key = task.unique, (job.more or {}).get(KEY)
        if unique is None or key is None:
            return None
        other = self._standing(unique, key)
        if other is None:
            return None
        if unique.on_conflict == "replace":
            new = {"args": call.args, "kwargs": call.kwargs, "task": _placed(task)}
            for name, value in new.items():
                object.__setattr__(other, name, value)
        return answered(unique, key, standing(other))

    def _standing(self, unique: Unique, key: str) -> JobResult | None:
        result = self._latest.get(key)
        if result is None or not any(result is known for known in self._results):
            return None
        if unique.throttle is not None:
            return result if _is_within(result.enqueued_at, unique.throttle) else None
        if result.state in _ENDED:
            counts = unique.cooldown is not None and result.state != JobState.CANCELLED
            if counts and _is_within(result.finished_at, unique.cooldown):
                return result
            return None
        has_begun = result.state == JobState.RUNNING
        return None if has_begun and unique.until == "started" else result


def is_late(job: NewJob) -> bool:
    """Tell whether the job may not be started any more."""
    moment = (job.more or {}).get("expires_at")
    return moment is not None and moment <= timezone.now()


def _placed(task: Task[..., Any]) -> Task[..., Any]:
    if task.unique is not None and task.unique.debounce is not None:
        task = stored(task, run_after=timezone.now() + _delta(task.unique.debounce))
    return task


def _is_within(since: datetime | None, seconds: Any) -> bool:
    return since is not None and timezone.now() < since + _delta(seconds)


def _delta(seconds: Any) -> timedelta:
    return timedelta(seconds=seconds)
