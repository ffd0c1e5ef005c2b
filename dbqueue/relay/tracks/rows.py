"""The rows of messages: written before they are published, and once they have come."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from dbqueue.dialects.base import Dialect
from dbqueue.dialects.sqlite.timestamps import Timestamps
from dbqueue.relay import statements

# The id of a job, and the token of its message.
Pair = tuple[UUID, UUID]


def write(
    dialect: Dialect, queue: str, pairs: Iterable[Pair], seconds: float
) -> set[UUID]:
    """Write rows for first messages, which are overdue in so many seconds.

    Return the tokens of those that were written: of jobs that wait in the queue, and
    have no message yet.
    """
    sql = statements.of(dialect.name)
    given = _given(dialect, pairs, seconds) | {"queue": queue}
    written = {token for (token,) in dialect.ask(sql.WRITE, given)}
    waiting = {token for (token,) in dialect.ask(sql.STILL_WAITING, given)}
    return {UUID(str(token)) for token in written & waiting}


def confirm(dialect: Dialect, pairs: Iterable[Pair], seconds: float) -> None:
    """Note that the engine has these messages, which count for so many seconds."""
    sql = statements.of(dialect.name).CONFIRM
    dialect.ask(sql, _given(dialect, pairs, seconds))


def _given(dialect: Dialect, pairs: Iterable[Pair], seconds: float) -> dict[str, Any]:
    given = {"rows": json.dumps([[job.hex, token.hex] for job, token in pairs])}
    if dialect.name != "sqlite":
        return given | {"seconds": seconds}
    times = Timestamps(dialect.alias)
    return given | {"now": times.now(), "later": times.now(seconds)}
