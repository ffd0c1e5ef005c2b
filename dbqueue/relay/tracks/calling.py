"""The engine's side where no row is read: the call of a message is made."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from django.utils import timezone

from dbqueue.backend import backend_of
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome, as_kept
from dbqueue.exceptions import AtomicUnavailable
from dbqueue.ids import uuid7
from dbqueue.relay.messages import Call, Message
from dbqueue.tasks import defaults, registry
from dbqueue.tasks.task import Task
from dbqueue.worker.process import connections
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder


def hand_over(message: Message) -> Any:
    """Make the call of a message that is the engine's own; return what it returns.

    It raises what the function raises: the engine has its own way with that.
    """
    backend = backend_of(message.backend)
    job, task = job_of(message), task_of(message)
    holder = Holder(
        worker_id=uuid7(),
        database=backend.database,
        sender=type(backend),
        record_now=refuse_end,
        note=lambda id, notes: None,
        reraise=(BaseException,),
    )
    try:
        outcome = Attempt(job, task, holder).run_to_end()
    finally:
        connections.tidy()
    return outcome and json.loads(outcome.result or "null")


def task_of(message: Message) -> Task[..., Any]:
    """Return the task of a message. Raises TaskNotFound and TaskNotAllowed.

    Raises AtomicUnavailable for one that can only end in its row.
    """
    task = registry.resolve(message.task)
    if task.atomic:
        raise AtomicUnavailable(
            f"{message.task!r} is atomic, and the queue {message.queue!r} has an "
            f"engine with track={message.track!r}, whose workers cannot end it in its "
            "row. Drop atomic=True, or use track='full'."
        )
    return defaults.placed(task, message.queue, message.backend)


def job_of(message: Message) -> ClaimedJob:
    """Return the job of a message as a worker knows it. Raises ValueError."""
    call, now = message.call, as_kept(timezone.now())
    if not isinstance(call, Call):
        raise ValueError(f"Message {message.name} of {message.track!r} has no call.")
    return ClaimedJob(
        id=UUID(message.id),
        task=message.task,
        queue_name=message.queue,
        priority=call.priority,
        backend=message.backend,
        max_attempts=call.max_attempts,
        args=call.args,
        kwargs=call.kwargs,
        context=call.context,
        attempt=call.attempt,
        failures=call.failures,
        progress=None,
        attempt_log="[]",
        lane=None,
        fair_group=None,
        enqueued_at=as_kept(datetime.fromisoformat(call.enqueued_at)),
        run_after=None,
        started_at=now,
        last_attempted_at=now,
    )


def refuse_end(worker_id: UUID, outcomes: Sequence[Outcome]) -> NoReturn:
    """Refuse to end a job in its row, as finishing() would."""
    raise AtomicUnavailable(
        "finishing() ends the job in its row, which this worker does not reach. Use "
        "transaction.atomic(), or an engine with track='full'."
    )
