"""What the rare statements of PostgreSQL are given, and what errors are called."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID


def ids(ids: Sequence[UUID]) -> str:
    """Return ids as the text of an array."""
    return "{" + ",".join(id.hex for id in ids) + "}"


def held(worker_id: UUID, held: Sequence[UUID]) -> dict[str, Any]:
    """Return the parameters for jobs that the worker holds."""
    return {"worker": worker_id, "ids": ids(held)}


def sqlstate(error: Exception) -> str | None:
    """Return the five characters that PostgreSQL calls the error by, if it said any."""
    return getattr(error.__cause__, "sqlstate", None)
