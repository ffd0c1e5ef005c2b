"""What JobResult and JobContext call of this wing."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from dbqueue.progress.files import attach as attach
from dbqueue.progress.seeing import tokens
from dbqueue.progress.tracking import Tracked as track
from dbqueue.tasks.framework import AnyResult

__all__ = ["attach", "public_token", "track"]


def public_token(
    result: AnyResult, scopes: tuple[str, ...], max_age: float | timedelta | None
) -> Any:
    """See JobResult.public_token()."""
    ticket = tokens.Ticket(UUID(result.id), result.backend, scopes)
    return tokens.sign(ticket, max_age)
