"""What is known of a task, in Celery's words."""

from dataclasses import dataclass
from typing import Any

from dbqueue.compat.celery import states
from dbqueue.compat.celery.exceptions import TaskRevokedError
from dbqueue.compat.celery.run import carried

_STATES = {
    "SCHEDULED": states.PENDING,
    "BLOCKED": states.PENDING,
    "PAUSED": states.PENDING,
    "READY": states.PENDING,
    "RUNNING": states.STARTED,
    "SUCCESSFUL": states.SUCCESS,
    "FAILED": states.FAILURE,
    "CANCELLED": states.REVOKED,
}


@dataclass(slots=True, kw_only=True)
class Facts:
    """What is known of a task now."""

    state: str = states.PENDING
    # What it returned, the exception that it raised, or the meta of its state.
    result: Any = None
    traceback: str | None = None
    date_done: Any = None
    name: str | None = None
    args: Any = None
    kwargs: Any = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None


def facts_of(found: Any) -> Facts:
    """Return what a JobResult of dbqueue says, in Celery's words."""
    state, told = _STATES[found.state], carried.said(found.progress)
    if state == states.PENDING and found.attempts:
        state = states.RETRY
    facts = Facts(
        state=state,
        traceback=str(found.errors[-1].traceback) if found.errors else None,
        date_done=found.finished_at,
        name=str(found.task.module_path),
        args=found.args,
        kwargs=found.kwargs,
        worker=found.worker_ids[-1] if found.worker_ids else None,
        retries=max(0, found.attempts - 1),
        queue=found.task.queue_name,
    )
    if state == states.SUCCESS:
        facts.result = found.return_value
    elif state in states.PROPAGATE_STATES:
        facts.result = _exception(found)
    elif state == states.STARTED and found.progress is not None:
        said, facts.result = told or ("PROGRESS", _shown(found.progress))
        facts.state = said or states.STARTED
    return facts


def _shown(progress: Any) -> dict[str, Any]:
    total, words = progress.total, progress.message
    return {"current": progress.value, "total": total, "status": words}


def _exception(found: Any) -> Exception:
    """Return the exception by which a job ended, of its class if that can be made."""
    if found.state == "CANCELLED":
        return TaskRevokedError(f"Task {found.id} was cancelled.")
    if not found.errors:
        return Exception(f"Task {found.id} failed.")
    last = found.errors[-1]
    words = last.traceback.strip().rpartition("\n")[2].partition(": ")[2]
    try:
        made = last.exception_class(words)
    except Exception:  # any class, with arguments of its own
        made = None
    return made if isinstance(made, Exception) else Exception(words)
