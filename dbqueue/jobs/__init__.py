"""What a call of a task becomes, and what may be done to it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbqueue.jobs.moves.choosing import aget as aget
    from dbqueue.jobs.moves.choosing import choose as choose
    from dbqueue.jobs.moves.choosing import filter as filter
    from dbqueue.jobs.moves.choosing import get as get
    from dbqueue.jobs.moves.public import acancel as acancel
    from dbqueue.jobs.moves.public import adiscard as adiscard
    from dbqueue.jobs.moves.public import amove_to as amove_to
    from dbqueue.jobs.moves.public import areschedule as areschedule
    from dbqueue.jobs.moves.public import aretry as aretry
    from dbqueue.jobs.moves.public import arun_now as arun_now
    from dbqueue.jobs.moves.public import aset_priority as aset_priority
    from dbqueue.jobs.moves.public import cancel as cancel
    from dbqueue.jobs.moves.public import discard as discard
    from dbqueue.jobs.moves.public import move_to as move_to
    from dbqueue.jobs.moves.public import reschedule as reschedule
    from dbqueue.jobs.moves.public import retry as retry
    from dbqueue.jobs.moves.public import run_now as run_now
    from dbqueue.jobs.moves.public import set_priority as set_priority
    from dbqueue.jobs.moves.selection import Selection as Selection
    from dbqueue.tasks.moves import Moved as Moved

_HOMES = {
    "Moved": "tasks.moves",
    "Selection": "jobs.moves.selection",
    **dict.fromkeys(["aget", "choose", "filter", "get"], "jobs.moves.choosing"),
    **dict.fromkeys(
        [
            *("acancel", "adiscard", "amove_to", "areschedule", "aretry", "arun_now"),
            *("aset_priority", "cancel", "discard", "move_to", "reschedule", "retry"),
            *("run_now", "set_priority"),
        ],
        "jobs.moves.public",
    ),
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # `dbqueue.enqueue` is found in this package, too, before models can be imported.
    if name in _HOMES:
        return getattr(import_module(f"dbqueue.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dbqueue.jobs' has no attribute {name!r}")
