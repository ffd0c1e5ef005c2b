"""Job and worker ids: UUID version 7, ordered by time, known before the INSERT."""

import hashlib
import os
import struct
import time
from threading import Lock
from uuid import UUID

_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_RANDOM_BITS = (1 << 62) - 1
_lock = Lock()
_last_tick = 0


def uuid7() -> UUID:
    """Return a new id, greater than every earlier one of this process.

    RFC 9562, section 5.7, with the clock's fraction in rand_a (section 6.2, method 3):
    48 bits of milliseconds, 12 bits of their fraction, 62 random bits.
    """
    return _id(_next_tick(), int.from_bytes(os.urandom(8)))


def hex7s(count: int) -> list[str]:
    """Return the 32 hexadecimal digits of `count` new ids, in order."""
    first, entropy = _next_tick(count), os.urandom(8 * count)
    randoms = struct.unpack(f">{count}Q", entropy)
    return [
        f"{_number(tick, random):032x}" for tick, random in enumerate(randoms, first)
    ]


def uuid7_at(seconds: float, name: str) -> UUID:
    """Return the id that every process has for a name at a time since the epoch."""
    digest = hashlib.sha256(name.encode()).digest()
    return _id(int(seconds * 1000) << 12, int.from_bytes(digest[:8]))


def _id(tick: int, random: int) -> UUID:
    return UUID(int=_number(tick, random))


def _number(tick: int, random: int) -> int:
    time_fields = (tick >> 12) << 80 | (tick & 0xFFF) << 64
    return time_fields | _VERSION_AND_VARIANT | random & _RANDOM_BITS


def _next_tick(count: int = 1) -> int:
    """Return the first of `count` ticks, reserved for this caller."""
    global _last_tick
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    with _lock:
        tick = max(_last_tick + 1, milliseconds << 12 | (rest << 12) // 1_000_000)
        _last_tick = tick + count - 1
        return tick
