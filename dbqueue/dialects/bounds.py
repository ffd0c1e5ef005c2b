"""Queues of which only so many jobs may run at once, over all workers.

They are counted in the claim, by a statement of its own: one that waits for a lock, or
tries to get it, sees what was committed before it, and not what came until it had it.
"""

from collections.abc import Iterable, Mapping, Sequence

from dbqueue import conf
from dbqueue.dialects.rows import Target

COUNT = """
SELECT queue_name, count(*) FROM dbqueue_job
WHERE state = 'RUNNING' AND queue_name {among}
GROUP BY queue_name
"""


class BoundedMoves:
    """See Dialect, of which it is a part."""

    # Whether the last claim passed over a queue from which another worker claimed.
    contended = False

    def places(self, bounds: Mapping[str, int]) -> dict[str, int]:
        """Keep others from claiming from the queues, up to the commit; return how many
        more of their jobs may run.

        `bounds` is how many at once. Queues from which others claim just now are left
        out.
        """
        raise NotImplementedError

    def within(self, targets: Sequence[Target]) -> list[Target]:
        """Return the targets with what they may bring, in a transaction that claims."""
        bounds = {t.queue: t.most for t in targets if t.most is not None}
        free = self.places(bounds)
        self.contended = len(free) < len(bounds)
        return [
            target if target.most is None else target._replace(most=free[target.queue])
            for target in targets
            if target.most is None or free.get(target.queue, 0) > 0
        ]


def bounded(targets: Iterable[Target]) -> list[Target]:
    """Return the targets, with the bounds of their queues."""
    queues = conf.current().queues
    return [
        target._replace(most=queues[target.queue].get("concurrency"))
        if target.queue in queues
        else target
        for target in targets
    ]
