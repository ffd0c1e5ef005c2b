"""The jobs running in this child, and their deadlines."""

import ctypes
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, get_ident, get_native_id
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.exceptions import Cancel, TaskTimeout
from dbqueue.tasks import timing
from dbqueue.worker.process import programs
from dbqueue.worker.process.programs import Program
from dbqueue.worker.run.launched import Launched
from dbqueue.worker.shared import ChildState

# Seconds between asking a job to stop and replacing the child it runs in; the
# supervisor kills a child that could not even do that a little later.
STUBBORN = 1.0
UNRESPONSIVE = 0.5
# Seconds the import of a task's module may take, until the child is killed for it.
IMPORT_LIMIT = 60.0
# Seconds that the loop of a child with several jobs may stand still, as one that holds
# the GIL makes it: none of the others can begin, end or be stopped meanwhile.
STANDSTILL = 60.0


@dataclass(slots=True, eq=False)
class Running:
    """A job that has begun."""

    job: ClaimedJob
    place: int
    soft_limit: float | None  # monotonic: when it is asked to stop
    interrupt: Callable[["Running"], None]
    began: float  # monotonic
    thread: int | None  # the native id of the one that it has to itself
    asked_at: float | None = None  # monotonic: when it was asked to stop
    is_cancelled: bool = False  # somebody wants it to stop, or else it is its timeout

    @property
    def hard_limit(self) -> float | None:
        """When it counts as stubborn; on a busy machine it may be asked late."""
        since = self.soft_limit if self.asked_at is None else self.asked_at
        return None if since is None else since + STUBBORN


class Deadlines:
    """The running jobs of a child, mirrored into its shared state for those outside."""

    def __init__(self, child: ChildState, places: int) -> None:
        self._child = child
        # The last place is for the job whose task is being imported.
        self._free = list(range(places))
        self._import_place = places
        self._lock = Lock()
        self._import: tuple[float, UUID] | None = None  # until when, and for which job
        self.running: dict[UUID, Running] = {}
        self.launched = Launched()
        timing.limiters[:] = [self.limiting]

    def begin(
        self,
        job: ClaimedJob,
        seconds: float | None,
        interrupt: Callable[[Running], None],
        thread: int | None = None,
    ) -> None:
        """Note that the job runs, `seconds` at most; None = no limit.

        `thread` is the native id of one that runs nothing else meanwhile.
        """
        began = time.monotonic()
        limit = None if seconds is None else began + seconds
        with self._lock:
            place = self._free.pop()
            self._child.occupy(place, job.id)
            self.running[job.id] = Running(job, place, limit, interrupt, began, thread)
            if limit is not None:
                self._publish_limit()

    @contextmanager
    def limiting(self, job_id: UUID, seconds: float) -> Iterator[None]:
        """Limit what a job of a thread does in the block; see time_limit()."""
        entry = self.running.get(job_id)
        if entry is None or entry.thread is None:
            yield
            return
        limit = time.monotonic() + seconds
        with self._lock:
            before = entry.soft_limit
            entry.soft_limit = min(before or limit, limit)
            self._publish_limit()
        try:
            yield
        finally:
            with self._lock:
                # Once it was asked to stop, or is to be cancelled, it is.
                if entry.asked_at is None and not entry.is_cancelled:
                    entry.soft_limit = before
                    self._publish_limit()

    def turn(self, held: int) -> None:
        """Note that the loop turns, with so many jobs that are claimed."""
        self._child.turn_by = time.monotonic() + STANDSTILL if held > 1 else 0.0

    def note_task(self) -> None:
        """Note that a job is to run whose task is new here."""
        self._child.has_begun = True

    @contextmanager
    def resolving(self, job: ClaimedJob) -> Iterator[None]:
        """Note that the job's task is being imported: that may cost the process."""
        others, self._child.turn_by = bool(self._child.turn_by), 0.0
        self._child.occupy(self._import_place, job.id)
        self._limit_import((time.monotonic() + IMPORT_LIMIT, job.id))
        try:
            yield
        finally:
            self._limit_import(None)
            self._child.vacate(self._import_place)
            self.turn(2 if others else 1)

    def end(self, job: ClaimedJob) -> None:
        with self._lock:
            ended = self.running.pop(job.id)
            self._child.vacate(ended.place)
            self._free.append(ended.place)
            if ended.soft_limit is not None:
                self._publish_limit()

    def heard(self) -> None:
        """Note that this child has heard of cancelled jobs."""
        self._child.heard_at = time.monotonic()

    def cancel(self, job_id: UUID, patience: float) -> None:
        """Have a job asked to stop for good, if it runs, after `patience` seconds."""
        with self._lock:
            entry = self.running.get(job_id)
            if entry is not None and not entry.is_cancelled:
                entry.is_cancelled = True
                limit = time.monotonic() + patience
                entry.soft_limit = min(entry.soft_limit or limit, limit)
                self._publish_limit()

    def interrupt_overdue(self) -> list[Running]:
        """Ask overdue jobs to stop; return those that were asked and did not."""
        now = time.monotonic()
        stubborn = []
        for entry in list(self.running.values()):
            if entry.soft_limit is None or now < entry.soft_limit:
                continue
            if entry.asked_at is None:
                self.ask(entry)
            elif entry.hard_limit is not None and now >= entry.hard_limit:
                stubborn.append(entry)
        return stubborn

    def end_programs(self, job: ClaimedJob) -> bool:
        """Kill what the job has started; return whether there may be more of it.

        That is, what it or another running job has started.
        """
        entry = self.running.get(job.id)
        if entry is None:
            return False
        started = self._started_by(entry)
        programs.kill(started)
        unclear = self.launched.unclear(started, entry.began)
        if len(self.running) > 1:
            return bool(unclear)
        programs.kill(unclear)
        return False

    def _started_by(self, entry: Running) -> list[Program]:
        if entry.thread is None:
            return self.launched.by_async_job(entry.job.id)
        return self.launched.by_thread(entry.thread, entry.began)

    def ask(self, entry: Running) -> None:
        """Ask the job to stop. It counts as stubborn a while later."""
        # As long as the lock is held, no other job begins in the thread of this one.
        with self._lock:
            if self.running.get(entry.job.id) is entry:
                entry.asked_at = time.monotonic()
                self._publish_limit()
                entry.interrupt(entry)
                if entry.thread is not None:
                    # While it waits for its program, it cannot be interrupted.
                    programs.end(self._started_by(entry), signal.SIGTERM)

    def next_limit(self) -> float | None:
        """Return the moment, monotonic, at which a job has to be looked at."""
        limits = (
            entry.soft_limit if entry.asked_at is None else entry.hard_limit
            for entry in list(self.running.values())
        )
        return min((limit for limit in limits if limit is not None), default=None)

    def _limit_import(self, limit: tuple[float, UUID] | None) -> None:
        with self._lock:
            self._import = limit
            self._publish_limit()

    def _publish_limit(self) -> None:
        limits = [
            (entry.hard_limit + UNRESPONSIVE, id, entry.asked_at is not None)
            for id, entry in self.running.items()
            if entry.hard_limit is not None
        ]
        if self._import:
            limits.append((*self._import, True))
        moment, culprit, asked = min(limits, default=(0.0, None, False))
        self._child.set_kill_at(moment, culprit, asked=asked)


class ThreadLimit:
    """Lets another thread stop what this one does, but only inside the block.

    It raises TaskTimeout there, or Cancel. It belongs to the thread that makes it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread: int | None = None
        self._fired = False
        self.thread = get_native_id()

    def __enter__(self) -> None:
        self._fired = False
        self._thread = get_ident()

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if self._fired and thread is not None:
            # It may still be on its way, and would hit whatever this thread does next.
            _raise_in(thread, None)

    def fire(self, entry: Running) -> None:
        with self._lock:
            if self._thread is not None and not self._fired:
                self._fired = True
                why = Cancel if entry.is_cancelled else TaskTimeout
                _raise_in(self._thread, why)


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    # CPython delivers it between two bytecodes: a blocking C call is not interrupted,
    # which is why the child is replaced when the job stays.
    target = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)
