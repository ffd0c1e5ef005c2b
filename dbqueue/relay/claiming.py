"""Whose queues are an engine's: other workers leave them to the relay."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from dbqueue.dialects import hooks
from dbqueue.dialects.rows import Target
from dbqueue.relay import engines

# The queues that have an engine, by the alias of their database.
taken: dict[str, set[str]] = {}


def leave_out(alias: str, targets: Sequence[Target]) -> Sequence[Target]:
    """Leave the queues of engines to their relays; see dialects.hooks."""
    queues = taken.get(alias)
    if not queues or hooks.here.get():
        return targets
    return [target for target in targets if target.queue not in queues]


def take_part(**kwargs: Any) -> None:
    """Note which queues have an engine, if any has, and what it needs in a process."""
    taken.clear()
    taken.update(engines.taken())
    if taken and leave_out not in hooks.before_claim:
        hooks.before_claim.append(leave_out)
    elif not taken and leave_out in hooks.before_claim:
        hooks.before_claim.remove(leave_out)
    if not taken:
        return
    with suppress(ImproperlyConfigured):  # a check tells of it, and the relay
        engines.engines()  # imports the transports, with what they register


def take_part_again(setting: str, **kwargs: Any) -> None:
    """Note it once more when a test has changed the setting."""
    if setting == "TASKS":
        take_part()
