"""What the receivers of dbqueue's own signals are told."""

import os
import socket
from dataclasses import dataclass
from typing import Self
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """What happened to a job."""

    id: UUID
    task: str  # a dotted path
    queue_name: str
    attempt: int  # how often the job was claimed
    state: str  # the JobState that it is in now
    # failed, timeout, lost, released, snoozed, cancelled; of job_moved, the move
    reason: str = ""
    worker_id: UUID | None = None
    duration: float | None = None  # seconds that the attempt ran
    delay: float = 0.0  # seconds until the next attempt
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent:
    """What happened to a worker."""

    id: UUID
    name: str
    host: str
    pid: int
    queues: str

    @classmethod
    def of_this_process(cls, id: UUID, name: str, queues: str) -> Self:
        pid, host = os.getpid(), socket.gethostname()
        return cls(id=id, name=name, host=host, pid=pid, queues=queues)
