"""A finished job run again with other arguments: as a new job."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from dbqueue.jobs.moves import steps
from dbqueue.jobs.results import stored_result
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks import context
from dbqueue.tasks.moves import Moved
from dbqueue.tasks.task import stored


def enqueue_again(
    backend: Any,
    id: UUID,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
) -> Moved:
    """Enqueue a job like the finished one; what is None stays as it was.

    It has the queue, the priority and the context of that, and says `retry_of`. Raises
    what enqueue() raises, and TaskNotFound.
    """
    alias = backend.database
    row = FinishedJob.objects.using(alias).filter(pk=id).first()
    if row is None:
        (state,) = steps.states(alias, [id]).values()
        return Moved(move="retry", skipped={state.lower(): 1})
    before = stored_result(row)
    known: Any = before.task
    task = stored(known, backend=backend.alias, run_after=None, job_id=None)
    bound = context.bound.set(row.context if isinstance(row.context, dict) else {})
    try:
        with transaction.atomic(using=alias):
            result = backend.enqueue(
                task,
                before.args if args is None else list(args),
                before.kwargs if kwargs is None else dict(kwargs),
            )
            if not result.was_enqueued:  # its task is unique, and another one stands
                return Moved(move="retry", skipped={"unique": 1})
            Job.objects.using(alias).filter(pk=result.id).update(retry_of=id)
    finally:
        context.bound.reset(bound)
    return Moved(move="retry", done=1, ids=[result.id])
