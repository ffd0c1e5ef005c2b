"""What the statements of PostgreSQL are given, and what its errors are called."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from dbqueue.dialects import rows
from dbqueue.dialects.columns import WRITTEN, NewJob


def of_job(job: NewJob) -> dict[str, Any]:
    """Return the parameters of an INSERT."""
    return {name: getattr(job, name) for name in (*WRITTEN, "run_after", "delay")}


def array(items: Iterable[object]) -> str:
    """Return an array as PostgreSQL writes it; the items have no commas or quotes."""
    return f"{{{','.join(map(str, items))}}}"


def held(worker_id: UUID, ids: Sequence[UUID]) -> dict[str, Any]:
    """Return the parameters for jobs that the worker holds."""
    return {"worker": worker_id, "ids": array(id.hex for id in ids)}


def fenced(worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> dict[str, Any]:
    """Return the parameters that record outcomes."""
    return {
        "worker": worker_id,
        "ids": array(o.id.hex for o in outcomes),
        "attempts": array(o.attempt for o in outcomes),
        "states": array(o.state for o in outcomes),
        "results": f"[{','.join(o.result or 'null' for o in outcomes)}]",
        "records": json.dumps([o.record for o in outcomes]),
        "failed": array(o.failed for o in outcomes),
        "delays": array(o.delay for o in outcomes),
        "durations": array(
            "NULL" if o.duration is None else o.duration for o in outcomes
        ),
    }


def sqlstate(error: Exception) -> str | None:
    """Return the five characters that PostgreSQL calls the error by, if it said any."""
    return getattr(error.__cause__, "sqlstate", None)
