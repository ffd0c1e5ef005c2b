"""What a message says, which is published of a job."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a job calls, for a worker that does not read its row.

    `args`, `kwargs` and `context` are JSON text, as the codec of the row has written
    them. `attempt` counts from 1 and is the one that the message is for.
    """

    args: str
    kwargs: str
    context: str
    attempt: int
    failures: int
    max_attempts: int
    priority: int
    enqueued_at: str  # ISO 8601


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published of a job: which one, and by which dispatch.

    `dispatch` counts the messages of a job from 1, and `token` is another one each
    time: a message with an older one starts nothing. `expires` and `timeout` are
    seconds: how long the message counts, and how long the job may run, each if that is
    limited. Only for workers that do not read the row, the arguments are in `call`.
    """

    id: str
    dispatch: int
    token: str
    backend: str  # the alias in TASKS
    queue: str  # of dbqueue
    task: str
    expires: float | None
    timeout: float | None = None
    track: str = "full"
    call: Call | None = None

    @property
    def name(self) -> str:
        """What the engine may call it: another name for each dispatch."""
        return f"{UUID(self.id)}.{self.dispatch}"

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the message that as_json() wrote. Raises ValueError for another."""
        try:
            found = json.loads(text)
            call = found.get("call")
            return cls(**_known(cls, found) | {"call": call and _call(call)})
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{text!r:.200} is not a message of a relay.") from error


def _call(found: Mapping[str, Any]) -> Call:
    return Call(**_known(Call, found))


def _known(kind: type[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: found[name] for name in names & found.keys()}
