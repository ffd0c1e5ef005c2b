"""Tells idle workers of new work, at most once a window for each queue."""

import logging
import time

from django.db import Error

from dbqueue import dialects

logger = logging.getLogger(__name__)

# Seconds. A woken worker looks again after it, so that no job hides in the window.
WINDOW = 0.02
# Instead of a queue's name: a job was scheduled, perhaps before all others.
SCHEDULE = ""

_sent: dict[tuple[str, str], float] = {}


def announce(alias: str, queue: str) -> None:
    """Wake the workers of the queue, if the database can and the settings allow it.

    To be called after the commit: NOTIFY inside the enqueuing transaction would take a
    lock that all commits of the server share. A hint that fails costs one poll
    interval, so it never raises.
    """
    dialect, now = dialects.of(alias), time.monotonic()
    if not dialect.can_notify or now - _sent.get((alias, queue), 0.0) < WINDOW:
        return
    _sent[alias, queue] = now
    try:
        dialect.notify([queue])
    except Error as error:
        logger.debug("Wake-up failed queue=%s error=%s", queue, error)
