"""What every keeper repeats for limits: to write the declared ones, and to prune."""

from dbqueue.limits import changes, pruning
from dbqueue.maintenance import duties

# A worker with other code may have written what it declares: who starts last is right.
_declared: set[str] = set()


def declare_once(alias: str) -> None:
    """Write what this process declares, if it has not."""
    if alias not in _declared:
        changes.declare(alias)
        _declared.add(alias)


duties.register(10.0, declare_once)
duties.register(600.0, pruning.prune)
