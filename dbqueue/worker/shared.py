"""Memory shared by the supervisor, its keeper and its children.

A child that holds the GIL, or is dead, cannot answer. What other processes need from
it is therefore written here as it happens: its worker id, when its lease was renewed,
what it runs, and when it is overdue.
"""

import mmap
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, TypeVar
from uuid import UUID


class Phase(IntEnum):
    """Where a child is between its fork and the end of what it held."""

    EMPTY = 0
    LIVE = 1
    FROZEN = 2  # stopped by a signal: its lease is not renewed
    CONDEMNED = 3  # declared dead by another process: it must stop
    DEAD = 4
    OVERDUE = 5  # killed because a job did not stop at its timeout
    CUT_SHORT = 6  # killed because it did not stop in time: no fault of its jobs
    SILENT = 7  # killed because one of its jobs let it do nothing for others


ENDED = (Phase.DEAD, Phase.OVERDUE, Phase.CUT_SHORT, Phase.SILENT)


class ExitReason(IntEnum):
    """The exit reason that a child reported; NONE if it could not."""

    NONE = 0
    STOPPED = 1
    DRAINED = 2  # nothing was left to do
    RECYCLED = 3  # wants to be replaced: max_jobs, max_rss, a job that would not stop
    ABANDONED = 4  # lost its lease and left its jobs to others
    WORN_OUT = 5  # reached max_jobs or max_rss, at which all are to stop


# Eight bytes a word, aligned: what another process reads is the old value or the new.
_WORD = 8
# Behind the fields of one word; ids take two, and the running jobs come last.
_WORKER, _CULPRIT, _RUNNING = 14, 16, 18
_NOTHING = bytes(16)
T = TypeVar("T", bound=float)


class Heartbeat:
    """When a process last reported; it writes, others read."""

    def __init__(self) -> None:
        self._moment = memoryview(mmap.mmap(-1, _WORD)).cast("d")
        self.beat()

    def beat(self) -> None:
        self._moment[0] = time.monotonic()

    def age(self) -> float:
        """Return the seconds since the last beat."""
        return time.monotonic() - self._moment[0]


class _Word(Generic[T]):
    """A field of ChildState: one word, a double, which holds each kind exactly."""

    def __init__(self, word: int, kind: Callable[[Any], T]) -> None:
        self._word = word
        self._kind = kind

    def __get__(self, child: "ChildState", owner: type) -> T:
        return self._kind(child.words[self._word])

    def __set__(self, child: "ChildState", value: T) -> None:
        child.words[self._word] = value


class ChildState:
    """One child's part. Fields are written by one process each, read by all."""

    phase = _Word(0, Phase)
    pid = _Word(1, int)
    # When the last heartbeat that arrived was sent, monotonic; 0 = none yet.
    beat = _Word(2, float)
    # When the supervisor must kill the child, monotonic; 0 = never.
    kill_at = _Word(3, float)
    # Whether the keeper receives notifications for this child.
    is_listened_for = _Word(4, bool)
    exit_reason = _Word(5, ExitReason)
    # Whether it came so far as to run a job: its end may be the job's fault.
    has_begun = _Word(6, bool)
    # Whether the job behind `kill_at` was asked to stop. If nobody could, another job
    # may keep it from running, as one that holds the GIL.
    was_asked = _Word(7, bool)
    # When the child last heard that jobs are cancelled, monotonic.
    heard_at = _Word(8, float)
    # Whether the supervisor must kill it, as a cancelled job does not stop.
    is_doomed = _Word(9, bool)
    # Whether it takes no more jobs, for an operator; also its successors here.
    is_quiet = _Word(10, bool)
    # When its loop must have turned again, monotonic; 0 = it has time, as no job waits
    # for another.
    turn_by = _Word(11, float)

    def __init__(self, memory: memoryview, places: int) -> None:
        self._bytes = memory
        # A view of the machine's own kind writes a word in one piece; struct does not.
        self.words = memory.cast("d")
        self._places = places

    def open(self, worker_id: UUID) -> None:
        """Prepare for a new child, which is not forked yet."""
        self.phase = Phase.EMPTY
        self.beat = 0.0
        self.exit_reason = ExitReason.NONE
        self.has_begun = self.is_doomed = False
        self.heard_at = self.turn_by = 0.0
        self.set_kill_at(0.0, None, asked=False)
        self.vacate_all()
        self._put_id(_WORKER, worker_id.bytes)

    def fill(self, pid: int) -> None:
        """Note that the child was forked."""
        self.pid = pid
        self.phase = Phase.LIVE

    @property
    def worker_id(self) -> UUID:
        return self._id_at(_WORKER)

    @property
    def culprit(self) -> UUID:
        """The job that is behind `kill_at`."""
        return self._id_at(_CULPRIT)

    def set_kill_at(self, moment: float, culprit: UUID | None, *, asked: bool) -> None:
        self.kill_at = 0.0  # while the others, of three words, change
        self.was_asked = asked
        self._put_id(_CULPRIT, culprit.bytes if culprit else _NOTHING)
        self.kill_at = moment

    def occupy(self, place: int, job_id: UUID) -> None:
        """Note that the job runs now; `place` is its thread's or coroutine's."""
        self._put_id(_RUNNING + 2 * place, job_id.bytes)

    def vacate(self, place: int) -> None:
        self._put_id(_RUNNING + 2 * place, _NOTHING)

    def vacate_all(self) -> None:
        for place in range(self._places):
            self.vacate(place)

    def running(self) -> set[UUID]:
        """Return the jobs that had begun, as opposed to merely being claimed."""
        places = range(_RUNNING, _RUNNING + 2 * self._places, 2)
        return {self._id_at(place) for place in places} - {UUID(bytes=_NOTHING)}

    def _id_at(self, word: int) -> UUID:
        return UUID(bytes=bytes(self._bytes[word * _WORD : (word + 2) * _WORD]))

    def _put_id(self, word: int, id: bytes) -> None:
        self._bytes[word * _WORD : (word + 2) * _WORD] = id


def make_children(count: int, places: int) -> list[ChildState]:
    """Return child states in anonymous memory that forked processes share.

    `places` are those of threads and coroutines; one more is for a job whose task is
    being imported.
    """
    places += 1
    size = (_RUNNING + 2 * places) * _WORD
    memory = memoryview(mmap.mmap(-1, count * size))
    return [ChildState(memory[i * size : (i + 1) * size], places) for i in range(count)]
