"""What the log says of a job's end: one line, and its parts as attributes."""

from collections.abc import Mapping
from typing import Any

from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.dialects.rows import Outcome, Request
from dbqueue.jobs.results import readable
from dbqueue.models import JobState
from dbqueue.tasks.framework import log_task_finished, task_finished
from dbqueue.tasks.results import JobResult

Line = tuple[str, list[Any], dict[str, Any]]  # the words, their values, attributes


def end(job: ClaimedJob | HeldJob, outcome: Outcome) -> Line:
    """Return the line for the end of an attempt."""
    again = outcome.state == JobState.READY
    extra: dict[str, Any] = {
        "job_id": str(job.id),
        "task": job.task,
        "queue": job.queue_name,
        "attempt": job.attempt,
        "state": "RETRY" if again else str(outcome.state),
    }
    words, values = "Job id=%s task=%s queue=%s attempt=%s state=%s", [*extra.values()]
    if outcome.reason:
        words, extra["reason"] = f"{words} reason=%s", outcome.reason
        values.append(outcome.reason)
    if outcome.record is not None and (said := asked(outcome.record)):
        words, values = words + in_words(said), [*values, *said.values()]
        extra |= said
    if outcome.duration is not None:
        milliseconds = outcome.duration * 1000
        words, extra["duration_ms"] = (
            f"{words} duration_ms=%.1f",
            round(milliseconds, 1),
        )
        values.append(milliseconds)
    if again:
        words, extra["delay"] = f"{words}, again %s", outcome.delay
        values.append(_when(outcome.delay))
    if job.context != "{}":
        extra["context"] = readable(job, "context", dict)
    return words, values, extra


def asked(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a record says of who has cancelled the job, and why."""
    return {name: record[name] for name in Request._fields if name in record}


def in_words(said: Mapping[str, str]) -> str:
    """Return the words for that, whose values are to follow."""
    return "".join(f" {name}=%r" for name in said)


def _when(delay: float) -> str:
    if delay <= 0.0:
        return "at once"
    return f"in {delay:.0f} s" if delay >= 10.0 else f"in {delay:.2g} s"


def replace_djangos() -> None:
    """Keep Django's receiver of `task_finished` from writing a line of our jobs, too.

    It would be a second ERROR of each failure, and one of each cancel. What takes its
    place has its name: who disconnects that one disconnects this.
    """
    if task_finished.disconnect(log_task_finished):
        name = id(log_task_finished)
        task_finished.connect(_log_others, dispatch_uid=name)


def _log_others(*, task_result: Any, **named: Any) -> None:
    if not isinstance(task_result, JobResult):
        log_task_finished(task_result=task_result, **named)
