"""time_limit(): a limit for a part of a job."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from uuid import UUID

from dbqueue.exceptions import TaskTimeout
from dbqueue.tasks import context

# What limits the job of an id, in the worker process that runs it.
Limiter = Callable[[UUID, float], AbstractContextManager[None]]
limiters: list[Limiter] = []


@contextmanager
def time_limit(seconds: float | timedelta) -> Iterator[None]:
    """Stop the job if the block takes longer, as its `timeout` would stop the whole.

    `seconds` are a number above 0, or a timedelta; a shorter limit around it, or of the
    task, still holds. Of an async job, and outside of a worker, nothing is limited.
    Raises TaskTimeout inside the block, once the time is over; ValueError for another
    number.
    """
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds < math.inf:
        raise ValueError(f"time_limit({seconds!r}) must be seconds above 0.")
    job = context.running.get(None)
    if job is None or not limiters:
        yield
        return
    began = time.monotonic()
    try:
        with limiters[-1](job.id, float(seconds)):
            yield
    except TaskTimeout as error:
        if not error.args and time.monotonic() - began >= seconds:
            error.args = (f"A part of the job ran longer than {seconds:g} s.",)
        raise
