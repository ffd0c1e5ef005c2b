"""uwsgi.lock(): one process of a host at a time, of one project and user."""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

_held = threading.local()


@contextmanager
def locked(number: int = 0) -> Iterator[None]:
    """Hold the lock in the block; the thread that holds it may enter again."""
    acquire(number)
    try:
        yield
    finally:
        release(number)


def acquire(number: int = 0) -> None:
    """Wait for the lock, and take it."""
    held = _mine()
    if number in held:
        held[number][1] += 1
        return
    descriptor = _open(number)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:  # such as a timeout while it waits
        os.close(descriptor)
        raise
    held[number] = [descriptor, 1]


def release(number: int = 0) -> None:
    """Give the lock back; nothing happens if this thread does not hold it."""
    held = _mine()
    if number in held:
        held[number][1] -= 1
        if not held[number][1]:
            descriptor = held.pop(number)[0]
            # What was forked meanwhile holds the file open, too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def is_taken(number: int = 0) -> bool:
    """Tell whether anybody holds the lock."""
    descriptor = _open(number)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _mine() -> dict[int, list[int]]:
    """Return the locks of this thread: the descriptor, and how often it was entered."""
    if getattr(_held, "owner", None) != os.getpid():  # a fork holds none
        _held.owner, _held.locks = os.getpid(), {}
    locks: dict[int, list[int]] = _held.locks
    return locks


def _open(number: int) -> int:
    project = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    digest = hashlib.sha256(f"{project}|{number}".encode()).hexdigest()[:16]
    path = Path(gettempdir()) / f"dbqueue-{os.getuid()}-{digest}.lock"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
