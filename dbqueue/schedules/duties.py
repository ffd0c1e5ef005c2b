"""The keepers' share: they write what is declared, and fire what is due."""

import logging
import time
from collections.abc import Callable

from django.db import DatabaseError

from dbqueue import dialects
from dbqueue.maintenance import duties
from dbqueue.schedules.declared import sync
from dbqueue.schedules.firing.looking import fire_due

logger = logging.getLogger(__name__)

INTERVAL = 5.0  # seconds between looks while nothing is due or announced
# When this process began, by the monotonic clock, and what it has written since.
_began = time.monotonic()
_written: set[str] = set()
_without: set[str] = set()  # aliases that were found to have no table


def fire(alias: str) -> float | None:
    """Fire what is due; return the seconds until something else is."""
    return _if_migrated(fire_due, alias)


def declare(alias: str) -> None:
    """Write what is declared at first, and later keep it alive."""
    _if_migrated(_declare, alias)


def _declare(alias: str) -> None:
    if alias not in _written:
        sync.sync(alias)
        _written.add(alias)
        return
    sync.refresh(alias)
    # All of us may have been away: the others, too, get the time to declare theirs.
    if time.monotonic() - _began > sync.RETIRE:
        sync.retire_forgotten(alias)


def _if_migrated(work: Callable[[str], float | None], alias: str) -> float | None:
    try:
        seconds = work(alias)
    except DatabaseError as error:
        if not dialects.of(alias).is_missing_table(error):
            raise
        if alias not in _without:
            logger.warning("No schedules in %r: run manage.py migrate", alias)
        _without.add(alias)
        return None
    _without.discard(alias)
    return seconds


duties.register(sync.REFRESH, declare)
duties.register(INTERVAL, fire, timed=True)
