"""What a message says, which is published of a job."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Self
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published of a job: which one, and by which dispatch. No arguments.

    `dispatch` counts the messages of a job from 1, and `token` is another one each
    time: a message with an older one starts nothing. `expires` and `timeout` are
    seconds: how long the message counts, and how long the job may run, if that is
    limited.
    """

    id: str
    dispatch: int
    token: str
    backend: str  # the alias in TASKS
    queue: str  # of dbqueue
    task: str  # for people
    expires: float
    timeout: float | None = None

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
            known = {field.name for field in fields(cls)}
            return cls(**{name: found[name] for name in known & found.keys()})
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{text!r:.200} is not a message of a relay.") from error
