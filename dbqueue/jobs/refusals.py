"""The end of a job whose row the database refuses to work with."""

from functools import partial
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue.dialects import Dialect
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs import events
from dbqueue.jobs.results import finished_result
from dbqueue.jobs.tracebacks import told


def set_aside(dialect: Dialect, id: UUID, worker_id: UUID, error: Exception) -> bool:
    """Move the row to the history as FAILED, announce that, and tell if it was there.

    Raises what the database says if it refuses that, too.
    """
    reason = InvalidPayload(f"The database refused this row: {error}")
    moved = bool(dialect.set_aside(id, worker_id, _record(reason)))
    if moved:
        events.set_aside(id, reason, partial(finished_result, dialect.alias, id))
    return moved


def _record(error: Exception) -> dict[str, Any]:
    now = timezone.now().isoformat()
    return {
        "attempt": 0,
        "worker": "",
        "started_at": now,
        "ended_at": now,
        "reason": "failed",
        **told(error),
    }
