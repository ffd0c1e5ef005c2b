"""What the rare statements of PostgreSQL are given, and what errors are called."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from dbqueue.dialects.rows import Calls


def calls(calls: Calls) -> dict[str, Any]:
    """Return the parameters for what differs between jobs written together."""
    return {
        "ids": array(calls.ids),
        "args": f"[{','.join(calls.args)}]",
        "kwargs": f"[{','.join(calls.kwargs)}]",
        **{name: json.dumps(column) for name, column in calls.more.items()},
    }


def array(items: Iterable[object]) -> str:
    """Return the text of an array."""
    return f"{{{','.join(map(str, items))}}}"


def ids(ids: Sequence[UUID]) -> str:
    """Return ids as the text of an array."""
    return "{" + ",".join(id.hex for id in ids) + "}"


def held(worker_id: UUID, held: Sequence[UUID]) -> dict[str, Any]:
    """Return the parameters for jobs that the worker holds."""
    return {"worker": worker_id, "ids": ids(held)}


def sqlstate(error: Exception) -> str | None:
    """Return the five characters that PostgreSQL calls the error by, if it said any."""
    return getattr(error.__cause__, "sqlstate", None)
