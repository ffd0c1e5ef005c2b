"""What travels with one job beside its arguments: headers, links, a chosen id."""

from contextlib import AbstractContextManager
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from dbqueue.exceptions import InvalidPayload
from dbqueue.tasks import context, typed
from dbqueue.tasks.tags import Instances, pack

KEY = f"{context.OWN}celery"


def job_id(id: Any) -> UUID:
    """Return the id of the job for an id of Celery's, which may be any text."""
    try:
        return UUID(str(id))
    except ValueError:
        return uuid5(NAMESPACE_OID, f"dbqueue.compat.celery {id}")


def bound(given: dict[str, Any]) -> AbstractContextManager[None]:
    """Bind what travels with the job that is enqueued inside the block.

    Raises InvalidPayload for what is not JSON.
    """
    seen: Instances = {}
    packed = {
        name: pack(value, f"{name}=", seen)
        for name, value in given.items()
        if value not in (None, [], {})
    }
    return context.bind_context(**{KEY: packed or None})


def found() -> dict[str, Any]:
    """Return what has travelled with the job that runs here."""
    return read(context.own(KEY))


def read(packed: Any) -> dict[str, Any]:
    """Return what a row has of it."""
    if not isinstance(packed, dict):
        return {}
    try:
        value = typed.read(typed.NOTHING, {}, packed)[2]
    except InvalidPayload:
        return {}
    return value if isinstance(value, dict) else {}


def told(state: str | None, meta: Any) -> dict[str, Any]:
    """Return the details of a progress that keep a state and its meta."""
    seen: Instances = {}
    return {"celery": {"state": state, "meta": pack(meta, "meta=", seen)}}


def said(progress: Any) -> tuple[str | None, Any] | None:
    """Return the state and the meta that a progress keeps, None if it keeps none."""
    kept = read(((progress and progress.details) or {}).get("celery"))
    return (kept.get("state"), kept.get("meta")) if kept else None
