"""Job and worker ids: UUID version 7, ordered by time, known before the INSERT."""

import os
import time
from threading import Lock
from uuid import UUID

_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62
_lock = Lock()
_last_tick = 0


def uuid7() -> UUID:
    """Return a new id, greater than every earlier one of this process.

    RFC 9562, section 5.7, with the clock's fraction in rand_a (section 6.2, method 3):
    48 bits of milliseconds, 12 bits of their fraction, 62 random bits.
    """
    tick = _next_tick()
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return UUID(
        int=(tick >> 12) << 80 | (tick & 0xFFF) << 64 | _VERSION_AND_VARIANT | random
    )


def _next_tick() -> int:
    global _last_tick
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    with _lock:
        _last_tick = max(_last_tick + 1, milliseconds << 12 | (rest << 12) // 1_000_000)
        return _last_tick
