"""Jobs that are met when it is too late to start them."""

from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.exceptions import Expired
from dbqueue.jobs import events, outcomes, tracebacks
from dbqueue.jobs.results import unrun_result
from dbqueue.jobs.retention import keep_of
from dbqueue.models import JobState


def end(job: ClaimedJob, worker_id: UUID) -> Outcome:
    """Return the outcome of a claimed job that has expired, and announce it."""
    outcome = outcomes.untouched(job)
    outcome.state = JobState.CANCELLED
    outcome.keep = keep_of(job.task, job.queue_name, job.backend)
    outcome.record = record() | {"attempt": job.attempt, "worker": str(worker_id)}
    events.ended(job, worker_id, outcome)
    events.finished(partial(unrun_result, job, worker_id, outcome))
    return outcome


def record() -> dict[str, Any]:
    """Return what the attempt log says of it."""
    error = Expired("The job expired before it was started.")
    now = timezone.now().isoformat()
    return {"ended_at": now, "reason": "expired", **tracebacks.told(error)}
