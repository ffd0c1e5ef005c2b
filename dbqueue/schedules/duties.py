"""The keepers' share: they write what is declared, and fire what is due."""

import time

from dbqueue.maintenance import duties
from dbqueue.schedules.declared import sync
from dbqueue.schedules.firing.looking import fire_due

INTERVAL = 1.0  # seconds between looks while nobody announces anything
# When this process began, by the monotonic clock, and what it has written since.
_began = time.monotonic()
_written: set[str] = set()


def declare(alias: str) -> None:
    """Write what is declared at first, and later keep it alive."""
    if alias not in _written:
        sync.sync(alias)
        _written.add(alias)
        return
    sync.refresh(alias)
    # All of us may have been away: the others, too, get the time to declare theirs.
    if time.monotonic() - _began > sync.RETIRE:
        sync.retire_forgotten(alias)


duties.register(sync.REFRESH, declare)
duties.register(INTERVAL, fire_due, timed=True)
