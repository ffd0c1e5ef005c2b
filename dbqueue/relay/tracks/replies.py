"""What an engine's worker replies to the relay, where it does not read the rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import NoneType
from typing import Any, Self
from uuid import UUID

from dbqueue.dialects.rows import Outcome

STARTED, ENDED, ALIVE, LEFT = "started", "ended", "alive", "left"
KINDS = (STARTED, ENDED, ALIVE, LEFT)
MOST_PID = 2**31 - 1  # that the row of a worker holds
LONGEST = 1e10  # seconds, of which an end may tell: three hundred years

_Kinds = Mapping[str, tuple[type, ...]]
_SECONDS = (int, float, NoneType)
# Of an outcome; the rest is in the row.
_SENT: _Kinds = {
    "state": (str,),
    "result": (str, NoneType),
    "record": (dict, NoneType),
    "failed": (int,),
    "delay": (int, float),
    "duration": _SECONDS,
    "keep": _SECONDS,
}
_NUMBERS = ("failed", "delay", "duration", "keep")
_STATES = ("READY", "SUCCESSFUL", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """That a job has started or ended, or what a worker is running, or that it leaves.

    An end says all that its start has said, which may be lost or come later. So does a
    worker that is alive, of what it runs.
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
    # Of a worker that is alive: (id, attempt, token) of the jobs that run there, and of
    # their progress (id, attempt, JSON).
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
            reply._demand_whole()
            return reply
        # RecursionError: JSON in JSON, thousands of times.
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{text!r:.200} is not a reply to a relay.") from error

    @property
    def worker_id(self) -> UUID:
        return UUID(self.worker)

    @property
    def job_id(self) -> UUID:
        return UUID(self.id)

    @property
    def began(self) -> list[UUID]:
        """The tokens of messages whose jobs have begun, as this says."""
        if self.kind in (STARTED, ENDED):
            return [UUID(self.token)]
        return [UUID(token) for _, _, token in self.running]

    def _demand_whole(self) -> None:
        """Raise a TypeError or ValueError if it is not what a worker has made.

        It would be read again and again, and no reply behind it.
        """
        _demand_kinds(asdict(self), _FIELDS)
        UUID(self.worker)
        if self.kind not in KINDS or not 0 <= self.pid <= MOST_PID:
            raise ValueError(self.kind, self.pid)
        if self.kind in (STARTED, ENDED):
            UUID(self.id), UUID(self.token)
        if self.kind == ENDED:
            _demand_kinds(self.outcome, _SENT)
            if self.outcome.get("state") not in _STATES:
                raise ValueError(self.outcome)
            for name in _NUMBERS:
                # Not a number, and infinity, are JSON to Python alone.
                if not abs(self.outcome.get(name) or 0.0) <= LONGEST:
                    raise ValueError(name)
        for id, attempt, token in self.running:
            _demand_kinds({"id": id, "attempt": attempt, "token": token}, _FIELDS)
            UUID(id), UUID(token)
        for id, attempt, text in self.progress:
            _demand_kinds({"id": id, "attempt": attempt, "text": text}, _FIELDS)
            UUID(id)

    def ending(self, gate: str | None) -> Outcome:
        """Return the outcome of an end, of a job with this gate."""
        said = {name: self.outcome[name] for name in _SENT if name in self.outcome}
        return Outcome(id=self.job_id, attempt=self.attempt, gate=gate, **said)


_FIELDS: _Kinds = {
    **dict.fromkeys(("kind", "worker", "host", "id", "token", "text"), (str,)),
    **dict.fromkeys(("pid", "attempt"), (int,)),
    **dict.fromkeys(("running", "progress"), (list,)),
    "outcome": (dict,),
}


def _demand_kinds(found: Mapping[str, Any], kinds: _Kinds) -> None:
    for name, value in found.items():
        if name in kinds and not isinstance(value, kinds[name]):
            raise TypeError(f"{name} is {value!r:.50}")


def sent(outcome: Outcome) -> dict[str, Any]:
    """Return what a reply says of an outcome."""
    return {name: getattr(outcome, name) for name in _SENT}
