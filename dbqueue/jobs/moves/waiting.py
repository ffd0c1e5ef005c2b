"""Waits for the end of a job: woken by the database where it can, looking where not."""

import asyncio
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from dbqueue import dialects
from dbqueue.exceptions import CannotWait
from dbqueue.jobs.results import find_row, stored_result
from dbqueue.models import Job
from dbqueue.tasks import context
from dbqueue.tasks.framework import TaskResultDoesNotExist
from dbqueue.tasks.registry import in_name
from dbqueue.tasks.results import JobResult

logger = logging.getLogger(__name__)

# Seconds between two looks: each is longer than the one before it.
SHORTEST, LONGEST, GROWTH = 0.01, 1.0, 1.5
LULL = 0.5  # seconds after which a listener sees that nobody waits any more
Seconds = float | timedelta | None


def wait(
    alias: str, id: UUID, timeout: Seconds, *, allow_in_job: bool = False
) -> JobResult:
    """Return the result of a job when it has ended.

    Raises TimeoutError if it has not in `timeout` seconds, None for no limit;
    CannotWait inside a transaction, and inside a job without `allow_in_job`;
    TaskResultDoesNotExist if there is no such job, or its record was deleted.
    """
    if _is_over(alias, id):
        return _ended(alias, id)
    _check_may_wait(alias, id, allow_in_job)
    rung = threading.Event()
    with _ear(alias).listening(id, rung.set):
        _ask_to_be_told(alias, id)
        for pause in _pauses(id, timeout):
            if _is_over(alias, id):
                break
            rung.wait(pause)
            rung.clear()
    return _ended(alias, id)


async def await_end(
    alias: str, id: UUID, timeout: Seconds, *, allow_in_job: bool = False
) -> JobResult:
    """See wait()."""
    is_over, ended = sync_to_async(_is_over), sync_to_async(_ended)
    if await is_over(alias, id):
        return await ended(alias, id)
    await sync_to_async(_check_may_wait)(alias, id, allow_in_job)
    loop, rung = asyncio.get_running_loop(), asyncio.Event()
    with _ear(alias).listening(id, lambda: loop.call_soon_threadsafe(rung.set)):
        await sync_to_async(_ask_to_be_told)(alias, id)
        for pause in _pauses(id, timeout):
            if await is_over(alias, id):
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(rung.wait(), pause)
            rung.clear()
    return await ended(alias, id)


def _is_over(alias: str, id: UUID) -> bool:
    """Tell whether there is no such job, or none any more, that is unfinished."""
    return not Job.objects.using(alias).filter(pk=id).exists()


def _ended(alias: str, id: UUID) -> JobResult:
    row = find_row(alias, id)
    if row is None:
        raise TaskResultDoesNotExist(f"No job has the id {str(id)!r}.")
    return stored_result(row, in_name(row.task))


def _check_may_wait(alias: str, id: UUID, allow_in_job: bool) -> None:
    if connections[alias].in_atomic_block:
        raise CannotWait(
            f"Job {id} was to be waited for inside a transaction on database "
            f"{alias!r}: what is enqueued in it begins after its commit. Wait after "
            "that."
        )
    if context.running.get(None) is not None and not allow_in_job:
        raise CannotWait(
            f"Job {id} was to be waited for inside another job, which holds its slot "
            "all the while: when each slot waits, nothing runs. Enqueue what is to "
            "follow at the end of that job, or say allow_in_job=True."
        )


def _ask_to_be_told(alias: str, id: UUID) -> None:
    dialect = dialects.of(alias)
    if dialect.can_notify:
        rows = Job.objects.using(alias).filter(pk=id, is_awaited=None)
        with dialect.one_commit():
            # Whoever has locked it may take longer than the caller wants to wait.
            free = rows.select_for_update(skip_locked=True).values_list("pk")
            if list(free):
                rows.update(is_awaited=True)


def _pauses(id: UUID, timeout: Seconds) -> Iterator[float]:
    """Yield the seconds until the next look. Raises TimeoutError after the last."""
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    ends_at, pause = None, SHORTEST
    if seconds is not None:
        ends_at = time.monotonic() + seconds
    while True:
        left = LONGEST if ends_at is None else ends_at - time.monotonic()
        yield max(0.0, min(pause, left))
        if left <= 0:
            raise TimeoutError(f"Job {id} has not ended in {seconds:g} s.")
        pause = min(LONGEST, pause * GROWTH)


class _Ear:
    """Hears, for all who wait in this process, which jobs have ended."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Callable[[], object]]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def listening(self, id: UUID, ring: Callable[[], object]) -> Iterator[None]:
        """Call `ring` whenever the end of the job is announced in the block."""
        with self._lock:
            self._waiting.setdefault(str(id), []).append(ring)
            if self._thread is None and dialects.of(self._alias).can_notify:
                self._thread = threading.Thread(
                    target=self._listen, name="dbqueue-ends", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._waiting[str(id)].remove(ring)
                if not self._waiting[str(id)]:
                    del self._waiting[str(id)]

    def _listen(self) -> None:
        listener = dialects.of(self._alias).end_listener()
        try:
            while self._is_needed():
                listener.open()
                descriptor = listener.fileno()
                if descriptor is None:  # who waits looks
                    time.sleep(LULL)
                    continue
                select.select([descriptor], [], [], LULL)
                for id in listener.received():
                    self._ring(id)
        except Exception:
            logger.exception("Nobody is told of the ends of jobs any more")
        finally:
            listener.close()
            connections[self._alias].close()

    def _is_needed(self) -> bool:
        with self._lock:
            if not self._waiting:
                self._thread = None
            return self._thread is not None

    def _ring(self, id: str) -> None:
        with self._lock:
            rings = list(self._waiting.get(id, ()))
        for ring in rings:
            ring()


_ears: dict[str, _Ear] = {}


def _ear(alias: str) -> _Ear:
    return _ears.setdefault(alias, _Ear(alias))


# A thread does not come along.
os.register_at_fork(after_in_child=_ears.clear)
