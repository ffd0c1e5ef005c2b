"""What an engine's worker replies to the relay, where it does not read the rows."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self
from uuid import UUID

from dbqueue.dialects.rows import Outcome

STARTED, ENDED, ALIVE, LEFT = "started", "ended", "alive", "left"
KINDS = (STARTED, ENDED, ALIVE, LEFT)
# Of an outcome; the rest is in the row.
_SENT = ("state", "result", "record", "failed", "delay", "duration", "keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """That a job has started or ended, or what a worker is running, or that it leaves.

    An end says all that its start has said, which may be lost or come later.
    """

    kind: str
    worker: str  # the id of the process, as hexadecimal digits
    host: str
    pid: int
    # Of a start and an end: which message it was of.
    id: str = ""
    token: str = ""
    attempt: int = 0
    # Of an end.
    outcome: dict[str, Any] = field(default_factory=dict)
    # Of a worker that is alive: (id, attempt) of the jobs that run there, and of their
    # progress (id, attempt, JSON).
    running: list[Any] = field(default_factory=list)
    progress: list[Any] = field(default_factory=list)

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the reply that as_json() wrote. Raises ValueError for another."""
        try:
            found = json.loads(text)
            names = {f.name for f in fields(cls)}
            reply = cls(**{name: found[name] for name in names & found.keys()})
            if reply.kind not in KINDS:
                raise ValueError(reply.kind)
            UUID(reply.worker)
            if reply.kind in (STARTED, ENDED):
                UUID(reply.id), UUID(reply.token)
            return reply
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{text!r:.200} is not a reply to a relay.") from error

    @property
    def worker_id(self) -> UUID:
        return UUID(self.worker)

    @property
    def job_id(self) -> UUID:
        return UUID(self.id)

    def ending(self, gate: str | None) -> Outcome:
        """Return the outcome of an end, of a job with this gate."""
        said = {name: self.outcome[name] for name in _SENT if name in self.outcome}
        return Outcome(id=self.job_id, attempt=self.attempt, gate=gate, **said)


def sent(outcome: Outcome) -> dict[str, Any]:
    """Return what a reply says of an outcome."""
    return {name: getattr(outcome, name) for name in _SENT}
