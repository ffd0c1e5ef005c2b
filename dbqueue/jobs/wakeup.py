"""Tells idle workers of new work, at most once a window for each queue."""

import logging
import time
from collections.abc import Collection
from uuid import UUID

from django.db import Error

from dbqueue import dialects
from dbqueue.dialects.columns import NewJob
from dbqueue.dialects.gates import NEWS
from dbqueue.dialects.rows import Calls, Written, gate_of

logger = logging.getLogger(__name__)

# Seconds. A woken worker looks again after it, so that no job hides in the window.
WINDOW = 0.02
# Instead of a queue's name: a job was scheduled, perhaps before all others.
SCHEDULE = ""
# What it begins with that tells of cancelled jobs: no queue is called so.
CANCEL = "\x01cancel:"

# Gates that are named one by one; of more, a sweep finds them.
MOST_GATES = 8
# Names that are remembered as sent: of queues there are few, of gates very many.
_REMEMBERED = 1000

_sent: dict[tuple[str, str], float] = {}


def news(job: NewJob, written: Written, calls: Calls | None = None) -> list[str]:
    """Return what is to be announced of a job, or of many, that were written.

    A job with a lane is for whoever opens its gate.
    """
    if written.state == "SCHEDULED":
        return [SCHEDULE]
    if calls is None or not calls.more:
        gate = gate_of(job.more or {})
        return [job.queue_name if gate is None else NEWS + gate]
    names = calls.more.keys()
    rows = (
        dict(zip(names, row, strict=True))
        for row in zip(*calls.more.values(), strict=True)
    )
    gates = {gate_of(row) for row in rows}
    plain = [job.queue_name] if None in gates else []
    known = [NEWS + gate for gate in gates if gate is not None]
    return plain + (known if len(known) <= MOST_GATES else [NEWS])


def announce(alias: str, queue: str) -> None:
    """Wake the workers of the queue, if the database can and the settings allow it.

    In the place of a queue, it may be the news of a gate.

    To be called after the commit: NOTIFY inside the enqueuing transaction would take a
    lock that all commits of the server share. A hint that fails costs one poll
    interval, so it never raises.
    """
    dialect, now = dialects.of(alias), time.monotonic()
    if not dialect.can_notify or now - _sent.get((alias, queue), 0.0) < WINDOW:
        return
    if len(_sent) >= _REMEMBERED:
        _sent.clear()
    _sent[alias, queue] = now
    try:
        dialect.notify([queue])
    except Error as error:
        logger.debug("Wake-up failed queue=%s error=%s", queue, error)


def tell_holders(alias: str, worker_ids: Collection[UUID | None]) -> None:
    """Tell the workers that jobs which they run were cancelled; as announce()."""
    dialect = dialects.of(alias)
    if not (dialect.can_notify and worker_ids):
        return
    try:
        dialect.notify([f"{CANCEL}{id.hex}" for id in worker_ids if id])
    except Error as error:
        logger.debug("Workers were not told of cancelled jobs error=%s", error)
