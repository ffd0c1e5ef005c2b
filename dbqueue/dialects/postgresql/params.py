"""What the rare statements of PostgreSQL are given, and what errors are called."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID


def held(worker_id: UUID, ids: Sequence[UUID]) -> dict[str, Any]:
    """Return the parameters for jobs that the worker holds."""
    return {"worker": worker_id, "ids": "{" + ",".join(id.hex for id in ids) + "}"}


def sqlstate(error: Exception) -> str | None:
    """Return the five characters that PostgreSQL calls the error by, if it said any."""
    return getattr(error.__cause__, "sqlstate", None)
