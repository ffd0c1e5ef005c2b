"""What is told of jobs that were lost, and what their attempt log tells of it."""

import json
from typing import Any

from dbqueue.dialects.columns import ClaimedJob, HeldJob
from dbqueue.exceptions import DbqueueError, TaskTimeout, WorkerLost
from dbqueue.models import entries
from dbqueue.tasks.payload import UNREADABLE

# Times that a job may be lost together with others without a failure. Beside others it
# runs again only where none of its hosts has had a process for it alone.
MOST_TOGETHER = 3


def runs_alone(job: ClaimedJob) -> bool:
    """Tell whether nothing may run beside the job, as its last run was lost.

    It may have ended its process.
    """
    if job.attempt_log == "[]":
        return False
    for entry in reversed(read(job)):
        if entry.get("reason") == "lost" or "beside" in entry:
            return True
        if entry.get("reason") != "released":
            return False  # it has ended by itself since
    return False


def claims_since(job: ClaimedJob) -> int:
    """Return how often the job was claimed since its last recorded attempt."""
    log = read(job)
    last = log[-1].get("attempt", 0) if log else 0
    return job.attempt - last if isinstance(last, int) else 0


def together(job: HeldJob) -> int:
    """Return how often the job was lost together with others."""
    return sum("beside" in entry for entry in since_retry(job))


def since_retry(job: ClaimedJob | HeldJob) -> list[dict[str, Any]]:
    """Return the entries of the log since the job was last run again by hand."""
    log = read(job)
    ends = [place for place, entry in enumerate(log, 1) if "retried_at" in entry]
    return log[ends[-1] :] if ends else log


def cause(job: HeldJob, reason: str) -> DbqueueError | None:
    """Return what an attempt failed by that its worker did not bring to an end.

    Error trackers know such an exception, without a traceback, by its words: they name
    the task, and nothing that is another one each time.
    """
    if reason == "lost":
        return WorkerLost(f"The worker died or was cut off while {job.task} ran.")
    if reason == "timeout":
        return TaskTimeout(
            f"{job.task} ran past its timeout, or the import of its module took too "
            "long, and did not stop."
        )
    if reason == "blocked":
        return TaskTimeout(
            f"{job.task} blocked the event loop, so that other async jobs could not "
            "end. Call what blocks through sync_to_async()."
        )
    return None


def read(job: ClaimedJob | HeldJob) -> list[dict[str, Any]]:
    """Return the entries of the job's attempt log."""
    try:
        return entries(json.loads(job.attempt_log))
    except UNREADABLE:  # damaged by hand
        return []
