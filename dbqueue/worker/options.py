"""What one `runworker` serves, and how."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from dbqueue import conf
from dbqueue.dialects.scan import Scan


def default_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """Durations in seconds. Defaults that are not here are in DBQUEUE."""

    database: str  # an alias in DATABASES
    sender: type  # the backend's class, which Django's signals name
    # Names or patterns with `*`; an earlier group is emptied before a later one.
    queues: Sequence[Sequence[str]] = (("*",),)
    # How many jobs of a group run at once in a process, in slots of its own; None, or
    # too short, for those that share the threads and the event loop.
    slots: Sequence[int | None] = ()
    exclude: Sequence[str] = ()
    processes: int = field(default_factory=lambda: conf.current().processes)
    threads: int = field(default_factory=lambda: conf.current().threads)
    async_concurrency: int = field(
        default_factory=lambda: conf.current().async_concurrency
    )
    grace: float = field(default_factory=lambda: conf.current().grace)
    drain: bool = False  # stop when the queues are empty
    max_jobs: int | None = None  # a child is replaced after this many jobs
    max_rss: int | None = None  # or when it uses more MiB of memory
    exit_at_max: bool = False  # in place of replacing it, all stop
    name: str = field(default_factory=default_name)
    health_file: str | None = None  # touched at each heartbeat

    @property
    def places(self) -> int:
        """How many jobs run at once in a process, of all kinds."""
        own = sum(slots or 0 for slots in self.slots)
        return self.threads + self.async_concurrency + own

    def scan(self) -> Scan:
        """Return all that is served."""
        return Scan(self.queues, self.exclude)

    def shared(self) -> Scan:
        """Return what is served without slots of its own."""
        own = [name for group, slots in self._groups() if slots for name in group]
        rest = [group for group, slots in self._groups() if not slots]
        return Scan(rest, [*self.exclude, *own])

    def sections(self) -> list[tuple[Scan, int]]:
        """Return what has slots, and how many; a queue belongs to the first."""
        found, before = [], list(self.exclude)
        for group, slots in self._groups():
            if slots:
                found.append((Scan([group], before.copy()), slots))
                before += group
        return found

    def described(self) -> str:
        """Return the queues as they are typed."""
        slots = [slots for _, slots in self._groups()]
        return self.scan().described(slots)

    def _groups(self) -> list[tuple[Sequence[str], int | None]]:
        slots = [*self.slots, *[None] * len(self.queues)]
        return list(zip(self.queues, slots, strict=False))
