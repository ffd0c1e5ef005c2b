"""Moves that are asked for from outside a worker."""

from dbqueue.jobs.moves.steps import (
    cancel,
    discard,
    make_due,
    move_to,
    reschedule,
    retry,
    run_now,
    set_priority,
)

__all__ = [
    "cancel",
    "discard",
    "make_due",
    "move_to",
    "reschedule",
    "retry",
    "run_now",
    "set_priority",
]
