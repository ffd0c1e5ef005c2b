"""Memory shared by the supervisor, its keeper and its children.

A child that holds the GIL, or is dead, cannot answer; what others must know of it is
therefore written here as it happens: who it is, when its lease was renewed, what it
runs, and when it is overdue.
"""

import mmap
import struct
from enum import IntEnum
from typing import Any
from uuid import UUID


class SlotState(IntEnum):
    EMPTY = 0
    LIVE = 1
    FROZEN = 2  # stopped by a signal: its lease is not renewed
    CONDEMNED = 3  # declared dead by somebody else: it must not go on
    DEAD = 4
    OVERDUE = 5  # killed because a job did not stop at its timeout


_HEADER = struct.Struct("=q q d d 16s 16s q")
_STATE, _PID, _BEAT, _KILL_AT, _WORKER, _CULPRIT, _LISTENING = 0, 8, 16, 24, 32, 48, 64
_NOTHING = bytes(16)


class Slot:
    """One child's part. Fields are written by one process each, read by all."""

    def __init__(self, memory: mmap.mmap, offset: int, places: int) -> None:
        self._memory = memory
        self._offset = offset
        self._places = places

    def open(self, worker_id: UUID) -> None:
        """Prepare the slot for a new child, which is not there yet."""
        start, end = self._offset, self._offset + size_of(self._places)
        self._memory[start:end] = bytes(end - start)
        self._put("16s", _WORKER, worker_id.bytes)

    def fill(self, pid: int) -> None:
        """Note that the child is there."""
        self._put("q", _PID, pid)
        self.state = SlotState.LIVE

    @property
    def state(self) -> SlotState:
        return SlotState(self._get("q", _STATE))

    @state.setter
    def state(self, state: SlotState) -> None:
        self._put("q", _STATE, state)

    @property
    def worker_id(self) -> UUID:
        return UUID(bytes=self._get("16s", _WORKER))

    @property
    def pid(self) -> int:
        pid: int = self._get("q", _PID)
        return pid

    @property
    def beat(self) -> float:
        """When the last heartbeat that arrived was sent, monotonic; 0 = none yet."""
        beat: float = self._get("d", _BEAT)
        return beat

    @beat.setter
    def beat(self, moment: float) -> None:
        self._put("d", _BEAT, moment)

    @property
    def listening(self) -> bool:
        """Whether the keeper hears notifications for this child."""
        return bool(self._get("q", _LISTENING))

    @listening.setter
    def listening(self, hears: bool) -> None:
        self._put("q", _LISTENING, int(hears))

    @property
    def kill_at(self) -> float:
        """When the supervisor must kill the child, monotonic; 0 = never."""
        moment: float = self._get("d", _KILL_AT)
        return moment

    @property
    def culprit(self) -> UUID:
        """The job that is behind `kill_at`."""
        return UUID(bytes=self._get("16s", _CULPRIT))

    def due_to_be_killed(self, moment: float, culprit: UUID | None) -> None:
        self._put("d", _KILL_AT, 0.0)
        self._put("16s", _CULPRIT, culprit.bytes if culprit else _NOTHING)
        self._put("d", _KILL_AT, moment)

    def occupy(self, place: int, job_id: UUID) -> None:
        """Note that the job runs now; `place` is its thread's or coroutine's."""
        start = self._offset + _HEADER.size + 16 * place
        self._memory[start : start + 16] = job_id.bytes

    def vacate(self, place: int) -> None:
        start = self._offset + _HEADER.size + 16 * place
        self._memory[start : start + 16] = _NOTHING

    def vacate_all(self) -> None:
        for place in range(self._places):
            self.vacate(place)

    def running(self) -> set[UUID]:
        """Return the jobs that had begun, as opposed to merely being claimed."""
        start = self._offset + _HEADER.size
        ids = (
            self._memory[i : i + 16]
            for i in range(start, start + 16 * self._places, 16)
        )
        return {UUID(bytes=id) for id in ids if id != _NOTHING}

    def _get(self, kind: str, at: int) -> Any:
        return struct.unpack_from("=" + kind, self._memory, self._offset + at)[0]

    def _put(self, kind: str, at: int, value: Any) -> None:
        struct.pack_into("=" + kind, self._memory, self._offset + at, value)


def size_of(places: int) -> int:
    return _HEADER.size + 16 * places


def make_slots(count: int, places: int) -> list[Slot]:
    """Return slots in anonymous memory that forked processes share."""
    memory = mmap.mmap(-1, count * size_of(places))
    return [Slot(memory, i * size_of(places), places) for i in range(count)]
