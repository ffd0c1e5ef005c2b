"""The keeper's share in pruning: short deletes, and long pauses between them."""

import logging
import random
import time
from collections.abc import Callable
from functools import partial

from dbqueue import conf, dialects
from dbqueue.dialects.rare import NextDue
from dbqueue.jobs import statistics
from dbqueue.maintenance import leases, parking
from dbqueue.maintenance.duties import Duty
from dbqueue.maintenance.expire import INTERVAL as EXPIRY_INTERVAL
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.prune import (
    BATCH,
    Marks,
    prune,
    prune_outlived,
    prune_throttles,
)
from dbqueue.models import JobState
from dbqueue.worker.parent.orders import Orders
from dbqueue.worker.parent.processes import Links

logger = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two looks while nothing is old enough
# The share of the keeper's time that goes into pruning while there is more to prune.
SHARE = 0.2
# Seconds that a delete should not exceed: everything else the keeper does waits for it.
LONG = 0.1
# Seconds after which it begins from the start again: a row may have been locked.
FORGET = 3600.0


class Pruner:
    """Deletes what is older than DBQUEUE keeps, in batches that fit the database."""

    def __init__(self) -> None:
        self._batch = BATCH
        self._marks: Marks = {}
        self._forget_at = 0.0

    def prune(self, alias: str) -> float:
        """Delete one batch of each kind; return the seconds to wait before the next."""
        settings, began = conf.current(), time.monotonic()
        if began > self._forget_at:
            self._marks, self._forget_at = {}, began + FORGET
        kinds: list[Callable[..., int]] = [
            partial(prune, states=states, older_than=seconds, marks=self._marks)
            for states, seconds in (
                ((JobState.SUCCESSFUL,), settings.keep_successful),
                ((JobState.FAILED, JobState.CANCELLED), settings.keep_failed),
            )
            if seconds is not None
        ]
        kinds += [prune_outlived, prune_throttles]
        more = [self._prune(alias, kind) for kind in kinds]
        if any(more):
            return (time.monotonic() - began) * (1 / SHARE - 1)
        return INTERVAL * random.uniform(0.8, 1.2)

    def _prune(self, alias: str, kind: Callable[..., int]) -> bool:
        """Delete a batch; return whether there may be more."""
        limit, began = self._batch, time.monotonic()
        try:
            deleted = kind(alias, limit=limit)
        except Exception as error:
            if not dialects.of(alias).refuses(error):
                raise
            logger.error("Finished jobs cannot be deleted: %s", error)
            return False
        finally:  # also when it was cancelled because it took too long
            self._batch = next_batch(limit, time.monotonic() - began)
        return deleted >= limit


class Chores:
    """A keeper's duties beside leases and moves; orders come each `often` seconds."""

    def __init__(
        self, links: Links, wake_all: Callable[[], None], often: float
    ) -> None:
        orders = Orders(links.children, wake_all)
        self._expiry = Duty(INTERVAL, expire)
        self._parking = Duty(INTERVAL, parking.sweep)
        self.duties = [
            Duty(often, orders.obey),
            Duty(INTERVAL, Pruner().prune),
            Duty(INTERVAL, forget),
            self._expiry,
            self._parking,
        ]

    def expect(self, seen: NextDue) -> None:
        """Do soon what a look at the queue says there is to do."""
        if seen.late:
            self._expiry.hurry(self._expiry.began_at + EXPIRY_INTERVAL)
        if seen.parked:
            self._parking.hurry(self._parking.began_at + parking.INTERVAL)


def forget(alias: str) -> None:
    """Delete what is only kept to be shown, and is too old for that."""
    statistics.forget_old(alias)
    leases.forget_ended(alias)


def next_batch(rows: int, seconds: float) -> int:
    """Return how many rows to delete after deleting `rows` took `seconds`."""
    if seconds > LONG:
        return max(1, rows // 2)
    return min(BATCH, rows * 2) if seconds < LONG / 2 else rows
