"""A worker as a process beside the one that calls: a web server, or `runserver`.

It imports nothing of Django, as a web server's configuration may import it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# In the environment of such a worker: the processes without which it is to stop, its
# parent the first.
PARENTS = "DBQUEUE_PARENTS"
# Where runserver restarts itself, the process that serves has one of these.
SERVES = ("RUN_MAIN", "WERKZEUG_RUN_MAIN")
# Seconds that a worker has to stop beyond its grace, before it is left to itself.
PATIENCE = 60.0

_worker: subprocess.Popen[bytes] | None = None


def start_worker(*options: str, command: list[str] | None = None) -> int:
    """Start `runworker` with these options, unless one runs; return its pid.

    It stops by itself when this process has ended. `command` is what runs a command of
    the project; default `python -m django`, with DJANGO_SETTINGS_MODULE.
    """
    global _worker
    if _worker is None or _worker.poll() is not None:
        known = command or [sys.executable, "-m", "django"]
        _worker = _started([*known, "dbqueue_worker", "--no-reload", *options])
    return _worker.pid


def stop_worker(*, wait: bool = True) -> None:
    """Have the worker stop, running jobs end within its grace; wait for that."""
    global _worker
    worker, _worker = _worker, None
    if worker is None or worker.poll() is not None:
        return
    with suppress(ProcessLookupError):
        worker.send_signal(signal.SIGTERM)
    if wait:
        with suppress(subprocess.TimeoutExpired):
            worker.wait(PATIENCE)


def restart_worker(*options: str) -> int:
    """Let the worker end its jobs, and start another at once, with the code of now."""
    stop_worker(wait=False)
    return start_worker(*options)


def with_worker(application: Any, *options: str) -> Any:
    """Return an ASGI application that has a worker while its server runs.

    It answers the server's lifespan, of which Django knows nothing. Of several
    processes of one server, one starts the worker.
    """

    async def wrapped(
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        with _alone() as first:
            while True:
                message = await receive()
                if message["type"] == "lifespan.startup":
                    if first:
                        start_worker(*options)
                    await send({"type": "lifespan.startup.complete"})
                else:
                    stop_worker(wait=False)
                    await send({"type": "lifespan.shutdown.complete"})
                    return

    return wrapped


def parents() -> tuple[int, ...]:
    """Return the processes without which this worker is to stop."""
    found = tuple(map(int, os.environ.get(PARENTS, "").split()))
    # What a job of such a worker starts has the same environment, and another parent.
    is_inherited = found and found[0] != os.getppid() and _exists(found[0])
    return () if is_inherited else found


def is_left(parents: tuple[int, ...]) -> bool:
    """Tell whether one of the processes has ended that are to be there."""
    if not parents:
        return False
    return os.getppid() != parents[0] or not all(map(_exists, parents[1:]))


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    others = [os.getppid()] if any(name in os.environ for name in SERVES) else []
    known = " ".join(map(str, [os.getpid(), *others]))
    # A group of its own: a terminal's Ctrl-C reaches this process alone, and "twice"
    # would mean to stop now.
    return subprocess.Popen(
        command, env={**os.environ, PARENTS: known}, process_group=0
    )


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # not Linux
        return True
    # One that has ended, and that nobody has asked for its exit code yet.
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


@contextmanager
def _alone() -> Iterator[bool]:
    """Tell whether this is the first process of its server that comes here."""
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    name = f"dbqueue-{os.getuid()}-{os.getppid()}-{settings}.lock"
    path = Path(tempfile.gettempdir()) / name
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)
