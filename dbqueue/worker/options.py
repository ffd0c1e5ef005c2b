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

    def scan(self) -> Scan:
        return Scan(self.queues, self.exclude)

    def described(self) -> str:
        return self.scan().described()
