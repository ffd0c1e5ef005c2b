"""Duties: what every keeper repeats, each with its own interval.

A wing registers its own in its module `duties`. Heartbeats wait for a duty: it looks,
and enqueues a job for what there is to do. One that waits for a moment, as promotion
does, is timed: it says itself when that is, and is done at once when somebody announces
that there may be an earlier one. The others do not make it wait: one that may take too
long gives way.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

# Seconds by which a duty gives way to moments, at most.
PATIENCE = 1.0


@dataclass(slots=True, eq=False)
class Duty:
    """Work that is due each `every` seconds, by the monotonic clock.

    `work` gets the alias of the database. If it returns a number, the next time is that
    many seconds after its end instead.
    """

    every: float
    work: Callable[[str], float | None]
    is_timed: bool = False
    due_at: float = 0.0
    began_at: float = 0.0
    took: float = 0.0  # seconds, the last time

    def do(self, alias: str) -> None:
        """Do the work, and note when it is due again. Raises what the work raises."""
        self.began_at = time.monotonic()
        try:
            seconds = self.work(alias)
        finally:
            self.took = time.monotonic() - self.began_at
        self.due_at = self.began_at + self.every
        if seconds is not None:
            self.due_at = time.monotonic() + seconds

    def begins_at(self, moment: float) -> float:
        """Return when to begin it, so that it is over before the moment."""
        begin = max(time.monotonic(), self.due_at)
        if begin + self.took <= moment:
            return self.due_at
        return max(self.due_at, min(moment, self.due_at + PATIENCE))

    def hurry(self, moment: float = 0.0) -> None:
        """Have it done at the moment, if that is before its time; 0 is at once."""
        self.due_at = min(self.due_at, moment)


_Work = Callable[[str], object]
_registered: list[tuple[float, _Work, bool]] = []


def register(every: float, work: _Work, *, timed: bool = False) -> None:
    """Have each keeper call the function with the alias of its database.

    `every` is in seconds, of which each keeper takes up to a fifth more or less. A
    `timed` one may return the seconds until its next time, if that comes before. What
    the function raises is logged.
    """
    if (every, work, timed) not in _registered:
        _registered.append((every, work, timed))


def registered() -> list[Duty]:
    """Return the registered duties, for one keeper."""
    return [
        Duty(every, partial(_guarded, every, work), is_timed=timed)
        for every, work, timed in _registered
    ]


def _guarded(every: float, work: _Work, alias: str) -> float:
    longest = every * random.uniform(0.8, 1.2)
    try:
        seconds = work(alias)
        if isinstance(seconds, float):
            return min(seconds, longest)
    except (InterfaceError, OperationalError) as error:  # such as a restart
        logger.warning("A duty was cut short name=%s: %s", work.__name__, error)
    except Exception:  # whatever is wrong with it, heartbeats go on
        logger.exception("A duty failed name=%s", work.__name__)
    return longest
