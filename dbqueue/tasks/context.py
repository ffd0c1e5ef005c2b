"""Values that travel with a job: bound where it is enqueued, there where it runs.

For trace ids, a request id, a user's id. Jobs enqueued by a job inherit them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.tasks import payload

# Values under keys with this beginning are of the job alone: no other inherits them.
OWN = "dbqueue."
SCHEDULE = f"{OWN}schedule"

# What bind_context() has bound here; unset where it has bound nothing.
bound: ContextVar[dict[str, Any]] = ContextVar("dbqueue_context")
# The job that runs here; unset outside of one.
running: ContextVar[ClaimedJob] = ContextVar("dbqueue_job")


def current_context() -> dict[str, Any]:
    """Return a copy of the values bound here, or brought along by the running job.

    What bind_context() has a function for is not among them before it is a job's.
    """
    return {key: v for key, v in bound.get({}).items() if not callable(v)}


@contextmanager
def bind_context(**values: Any) -> Iterator[None]:
    """Add values to the context of every job enqueued inside the block.

    A function is called for its value when a job is enqueued; None leaves it out.
    Raises InvalidPayload for a value that is not JSON.
    """
    checked = {
        payload.check_key(key, "The context"): value
        if callable(value)
        else _normal(key, value)
        for key, value in values.items()
    }
    token = bound.set({**bound.get({}), **checked})
    try:
        yield
    finally:
        bound.reset(token)


def restore(values: dict[str, Any]) -> None:
    """Bind what a job brought along, until its own contextvars context ends."""
    bound.set({key: values[key] for key in values if not key.startswith(OWN)})


def own(key: str) -> Any:
    """Return what the job that runs here brought for itself alone; None outside."""
    job = running.get(None)
    if job is None or key not in job.context:
        return None
    return payload.read(job, "context", dict).get(key)


def dumped() -> str:
    """Return the bound values as JSON text."""
    values = bound.get({})
    if any(map(callable, values.values())):
        values = dict(_called(values))
    return payload.dump(values, "The context") if values else "{}"


def _called(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if not callable(value):
            yield key, value
        elif (found := value()) is not None:
            yield key, _normal(key, found)


def _normal(key: str, value: Any) -> payload.Json:
    return payload.normalize(value, f"Context value {key!r}")
