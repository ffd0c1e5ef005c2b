"""One look for all tabs that ask again and again."""

import time
from threading import Lock

from django.utils import timezone, translation

from dbqueue.admin.overview.glance import Glance

AGE = 1.0  # seconds that a look is shown again
_lock = Lock()
_seen: dict[tuple[str, ...], tuple[float, Glance]] = {}


def glance(alias: str, wanted: str) -> Glance:
    """Return a look that is new, or that another tab has taken within a second."""
    # Its chart has texts: moments and words of a reader.
    zone = timezone.get_current_timezone_name()
    key = alias, wanted, translation.get_language() or "", zone
    # One looks, and the others wait: together they would ask the same.
    with _lock:
        now = time.monotonic()
        for old in [key for key, (until, _) in _seen.items() if until <= now]:
            del _seen[old]
        if key in _seen:
            return _seen[key][1]
        made = Glance(alias, wanted)
        _seen[key] = time.monotonic() + AGE, made
        return made
