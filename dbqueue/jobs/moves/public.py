"""The moves of `from dbqueue import jobs`; what they take is what choose() takes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dbqueue.jobs.moves.choosing import Which, choose
from dbqueue.jobs.moves.selection import BATCH, Progress
from dbqueue.tasks.moves import Moved, twin


def cancel(
    which: Which,
    /,
    *,
    backend: str | None = None,
    reason: str = "",
    by: str = "",
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """End jobs that wait as CANCELLED, and ask running ones to stop.

    `which` is what choose() takes: an id, a result, a row, several of them, a QuerySet
    or a Selection. `reason`, and `by`, who wants it, are for the record. See Selection
    for the rest.
    """
    chosen = choose(which, backend=backend)
    return chosen.cancel(reason=reason, by=by, batch=batch, progress=progress)


def retry(
    which: Which,
    /,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Run finished jobs again, under the same ids and with no failures.

    With other `args` or `kwargs`, enqueue a new job for the only one; see Selection.
    """
    chosen = choose(which, backend=backend)
    return chosen.retry(args=args, kwargs=kwargs, batch=batch, progress=progress)


def run_now(
    which: Which,
    /,
    *,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Make scheduled jobs due."""
    return choose(which, backend=backend).run_now(batch=batch, progress=progress)


def reschedule(
    which: Which,
    /,
    run_after: datetime | timedelta,
    *,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Have jobs that wait run at a moment, or so long from now.

    Raises InvalidTask for what is neither.
    """
    chosen = choose(which, backend=backend)
    return chosen.reschedule(run_after, batch=batch, progress=progress)


def move_to(
    which: Which,
    /,
    queue_name: str,
    *,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Put jobs that wait into another queue. Raises InvalidTask for its name."""
    chosen = choose(which, backend=backend)
    return chosen.move_to(queue_name, batch=batch, progress=progress)


def set_priority(
    which: Which,
    /,
    priority: int,
    *,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Give jobs that wait another priority. Raises InvalidTask for what is none."""
    chosen = choose(which, backend=backend)
    return chosen.set_priority(priority, batch=batch, progress=progress)


def discard(
    which: Which,
    /,
    *,
    backend: str | None = None,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Moved:
    """Delete the records of finished jobs."""
    return choose(which, backend=backend).discard(batch=batch, progress=progress)


acancel = twin(cancel)
aretry = twin(retry)
arun_now = twin(run_now)
areschedule = twin(reschedule)
amove_to = twin(move_to)
aset_priority = twin(set_priority)
adiscard = twin(discard)
