"""Limits: how many jobs of a lane run at once, how often, in which order, in turn."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.limits.changes import reset as reset
    from dbqueue.limits.changes import set as set
    from dbqueue.limits.declarations import Fair as Fair
    from dbqueue.limits.declarations import Limit as Limit
    from dbqueue.limits.reasons import LaneStatus as LaneStatus
    from dbqueue.limits.reasons import status as status

_HOMES = {
    "Fair": "declarations",
    "LaneStatus": "reasons",
    "Limit": "declarations",
    "reset": "changes",
    "set": "changes",
    "status": "reasons",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: Django imports this package before it has loaded the models.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue.limits' has no attribute {name!r}")
    return getattr(import_module(f"dbqueue.limits.{_HOMES[name]}"), name)
