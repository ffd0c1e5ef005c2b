"""Messages of Celery, of which it makes one, and those like it are made after that."""

from dataclasses import dataclass
from typing import Any

from celery import Celery, signals

from dbqueue.relay.messages import Message

# What a receiver of these is told, and may change, send_task() alone knows.
_TOLD = [
    getattr(signals, name)
    for name in ("before_task_publish", "after_task_publish", "task_sent")
    if hasattr(signals, name)
]
_Key = tuple[str, str, float | None, float | None]


class Sender:
    """Sends messages to a queue of an app, for one call of a transport's publish().

    To have each made by send_task() costs several times as much as to publish it. So
    the first of a kind is, and the others differ from it in their ids, and in the text
    that is their argument. Where more may differ, send_task() makes all.
    """

    def __init__(self, app: Celery, producer: Any, options: dict[str, Any]) -> None:
        self._app, self._producer, self._options = app, producer, options
        said = app.conf.task_send_sent_event or app.current_worker_task
        self._is_alike = not said and not any(one.receivers for one in _TOLD)
        self._patterns: dict[_Key, Pattern | None] = {}

    def send(self, message: Message, kind: dict[str, Any]) -> None:
        """Send it, as what send_task() makes of it with the options of its kind."""
        pattern = self._pattern(message, kind) if self._is_alike else None
        if pattern is None:
            self._make(message, kind, self._producer)
        else:
            body, said = pattern.of(message)
            self._producer.publish(body, **said)

    def _pattern(self, message: Message, kind: dict[str, Any]) -> "Pattern | None":
        key = kind["name"], message.task, message.expires, message.timeout
        if key not in self._patterns:
            made = _Recorder(self._producer)
            self._make(message, kind, made)
            # Once is enough: Celery would look for each whether it has to.
            for entity in made.said.pop("declare", None) or ():
                self._producer.maybe_declare(entity)
            self._patterns[key] = Pattern.after(message, made.body, made.said)
        return self._patterns[key]

    def _make(self, message: Message, kind: dict[str, Any], producer: Any) -> None:
        self._app.send_task(
            args=[message.as_json()],
            task_id=message.name,
            # Monitors show it, and logs: not the arguments of a call.
            argsrepr=message.task,
            expires=message.expires,
            producer=producer,
            **self._options,
            **kind,
        )


@dataclass(frozen=True, slots=True)
class Pattern:
    """What Celery publishes for a message: those of its kind differ in ids and text."""

    body: Any
    headers: dict[str, Any]
    said: dict[str, Any]
    # Which of the headers, and of what else is said, are the id.
    header_ids: tuple[str, ...]
    ids: tuple[str, ...]

    @classmethod
    def after(
        cls, message: Message, body: Any, said: dict[str, Any]
    ) -> "Pattern | None":
        """Return that of the message; None if it is not as task_protocol 2 has it."""
        said = dict(said)
        headers = said.pop("headers", None)
        is_known = isinstance(body, (list, tuple)) and len(body) == 3
        if not is_known or body[0] != [message.as_json()] or not headers:
            return None
        header_ids, ids = _of(message.name, headers), _of(message.name, said)
        return cls(body, headers, said, header_ids, ids)

    def of(self, message: Message) -> tuple[Any, dict[str, Any]]:
        """Return the body for this message, and the arguments of publish()."""
        name = message.name
        said = {**self.said, **dict.fromkeys(self.ids, name)}
        said["headers"] = {**self.headers, **dict.fromkeys(self.header_ids, name)}
        return type(self.body)(([message.as_json()], *self.body[1:])), said


class _Recorder:
    """Takes the place of a producer, and keeps what it was to publish."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def publish(self, body: Any, **said: Any) -> None:
        self.body, self.said = body, said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


def _of(name: str, values: dict[str, Any]) -> tuple[str, ...]:
    return tuple(key for key, value in values.items() if value == name)
