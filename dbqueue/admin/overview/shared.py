"""One look for all tabs that ask again and again."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from django.utils import timezone, translation

from dbqueue.admin.overview.glance import Glance

# Seconds that a look is shown again, at least and at most; in between, for so long that
# looks take no more than a share of the time of a process, however many tabs ask. The
# most is less than a tab waits: what somebody changed is in the next look of the tab.
AGE, LONGEST_AGE = 1.0, 2.5
SHARE = 0.04
_lock = Lock()
_seen: dict[tuple[str, ...], "Look"] = {}


class Look:
    """A glance, and the pieces of pages that were made of it."""

    def __init__(self, alias: str, wanted: str) -> None:
        self._began = self.until = time.monotonic()
        self._took = 0.0
        self.glance: Glance = self._timed(lambda: Glance(alias, wanted))
        self._texts: dict[tuple[object, ...], str] = {}  # by their readers

    def text(self, reader: tuple[object, ...], make: Callable[[Glance], str]) -> str:
        """Return what is made of it for a reader, once."""
        with _lock:
            if reader not in self._texts:
                self._texts[reader] = self._timed(lambda: make(self.glance))
            return self._texts[reader]

    def _timed(self, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return work()
        finally:
            self._took += time.monotonic() - began
            age = min(LONGEST_AGE, max(AGE, self._took / SHARE))
            self.until = self._began + age


def look(alias: str, wanted: str) -> Look:
    """Return a look that is new, or that another tab has taken just now."""
    # Its chart has texts: moments and words of a reader.
    zone = timezone.get_current_timezone_name()
    key = alias, wanted, translation.get_language() or "", zone
    # One looks, and the others wait: together they would ask the same.
    with _lock:
        now = time.monotonic()
        for old in [key for key, seen in _seen.items() if seen.until <= now]:
            del _seen[old]
        if key not in _seen:
            _seen[key] = Look(alias, wanted)
        return _seen[key]
