"""Values that travel with a job: bound where it is enqueued, there where it runs.

For trace ids, a request id, a user's id. Jobs enqueued by a job inherit them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.tasks import payload

# What bind_context() has bound here; unset where it has bound nothing.
bound: ContextVar[dict[str, Any]] = ContextVar("dbqueue_context")
# The job that runs here; unset outside of one.
running: ContextVar[ClaimedJob] = ContextVar("dbqueue_job")


def current_context() -> dict[str, Any]:
    """Return a copy of the values bound here, or brought along by the running job."""
    return dict(bound.get({}))


@contextmanager
def bind_context(**values: Any) -> Iterator[None]:
    """Add values to the context of every job enqueued inside the block.

    Raises InvalidPayload for a value that is not JSON.
    """
    checked = {
        payload.check_key(key, "The context"): payload.normalize(
            value, f"Context value {key!r}"
        )
        for key, value in values.items()
    }
    token = bound.set({**bound.get({}), **checked})
    try:
        yield
    finally:
        bound.reset(token)


def restore(values: dict[str, Any]) -> None:
    """Bind what a job brought along, until its own contextvars context ends."""
    bound.set(values)


def dumped() -> str:
    """Return the bound values as JSON text."""
    values = bound.get({})
    return payload.dump(values, "The context") if values else "{}"
