"""What becomes of a job whose function has returned, or raised."""

import logging
from collections.abc import Callable
from typing import Any

from dbqueue import Retry
from dbqueue.compat import conf
from dbqueue.exceptions import Cancel, ClaimLost, DbqueueError, TaskTimeout
from dbqueue.jobs import tracebacks

logger = logging.getLogger(__name__)

SPOOL_OK, SPOOL_RETRY, SPOOL_IGNORE = -2, -1, 0


class SpoolIgnored(DbqueueError):
    """A function of @spoolraw returned neither SPOOL_OK nor SPOOL_RETRY."""


class Frequency:
    """Seconds between the runs of a job that asks for another one."""

    def __init__(self) -> None:
        self.own: float | None = None  # of this process, by set_spooler_frequency()

    @property
    def seconds(self) -> float:
        return conf.current().spooler_frequency if self.own is None else self.own


frequency = Frequency()


def end(verdict: int | None, call: Callable[[], Any]) -> None:
    """Make the call. Raises Retry if it is to be made again, or what it raised."""
    try:
        given = call()
    except (Cancel, ClaimLost, Retry, TaskTimeout):
        raise
    except Exception as error:
        if verdict != SPOOL_RETRY:
            raise
        tracebacks.fold(error)
        logger.exception("A function of @spoolforever raised; it goes on")
        words = f"It raised {type(error).__name__}: {error}"
        raise Retry(words, after=frequency.seconds) from error
    told = given if verdict is None else verdict
    if told == SPOOL_RETRY:
        raise Retry("SPOOL_RETRY", after=frequency.seconds)
    if told != SPOOL_OK:
        raise SpoolIgnored(
            f"It returned {given!r:.200}, which is neither SPOOL_OK ({SPOOL_OK}) nor "
            f"SPOOL_RETRY ({SPOOL_RETRY}); uWSGI would run it again for ever."
        )
