"""What the person who waits for a job sees: how far it is, and what it has made."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.progress.links import accepted as accepted
    from dbqueue.progress.seeing.access import owned_by_user as owned_by_user

_HOMES = {"accepted": "links", "owned_by_user": "seeing.access"}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # As in dbqueue: Django imports this package before it has loaded the models.
    if name not in _HOMES:
        raise AttributeError(f"module 'dbqueue.progress' has no attribute {name!r}")
    return getattr(import_module(f"dbqueue.progress.{_HOMES[name]}"), name)
