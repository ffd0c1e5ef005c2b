"""One delivery of a package to a cluster, and how long its lease lasts."""

import logging
import re
import time
from dataclasses import dataclass
from typing import Any

from django.db import Error
from django_q.conf import Conf

from dbqueue.compat.django_q2.store import Store, database

logger = logging.getLogger(__name__)

# The share of a lease that may be over when a worker begins the task: of what waited
# for longer, it is counted anew.
RENEWED = 0.1
_TEXT = re.compile(r"(\d+)(?:-(\d+)-(\d+\.\d+))?")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What django-q2 hands back when a package is done: its id, and the fence."""

    id: int
    attempt: int | None = None
    # When it was taken, by the monotonic clock of the host, on which the workers are.
    taken_at: float | None = None

    @classmethod
    def begun(cls, id: int, attempt: int) -> "Delivery":
        return cls(id, attempt, time.monotonic())

    @classmethod
    def read(cls, text: Any) -> "Delivery":
        """Return what a text says; that of enqueue() has the id alone.

        Raises ValueError for what is no broker's of ours.
        """
        found = _TEXT.fullmatch(str(text))
        if found is None:
            raise ValueError(f"{text!r} is not what dbqueue's broker gave for a task.")
        id, attempt, taken_at = found.groups()
        if attempt is None:
            return cls(int(id))
        return cls(int(id), int(attempt), float(taken_at))

    def __str__(self) -> str:
        return f"{self.id}-{self.attempt}-{self.taken_at}"


def lease() -> float:
    """Return for how many seconds a cluster has a package."""
    return float(Conf.RETRY)


def renew(sender: Any, task: dict[str, Any], **kwargs: Any) -> None:
    """Count the lease of a package from when a worker begins it.

    It has waited in the cluster until now. What did so for a moment only is not worth
    a statement.
    """
    try:
        one = Delivery.read(task.get("ack_id"))
    except ValueError:
        return  # of another broker, or run without one
    if one.attempt is None or one.taken_at is None:
        return
    if time.monotonic() - one.taken_at < lease() * RENEWED:
        return
    try:
        is_ours = Store(database()).renew(one.id, one.attempt, lease())
    except Error as error:  # it would end the worker
        logger.warning("Lease not renewed id=%s: %s", one.id, error)
        return
    if not is_ours:
        logger.warning(
            "A worker begins package id=%s after its lease: another cluster may run "
            "it, too. Is Q_CLUSTER['queue_limit'] too high?",
            one.id,
        )
