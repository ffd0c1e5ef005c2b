"""BLOCKED jobs found and let in, whatever news of them was lost."""

from dbqueue import dialects
from dbqueue.dialects import hooks
from dbqueue.dialects.rows import Opened
from dbqueue.maintenance.promote import promote


def sweep(alias: str) -> Opened:
    """Open the gates that have room; return what came of it."""
    queues, again = dialects.of(alias).open_due(), dict[str, float]()
    for hook in hooks.sweep_gates:
        opened = hook(alias)
        queues |= opened.queues
        again |= opened.again
    return Opened(queues, again)


def make_ready(alias: str) -> set[str]:
    """Promote what is due, and let in what has room; return the queues."""
    return promote(alias) | sweep(alias).queues
