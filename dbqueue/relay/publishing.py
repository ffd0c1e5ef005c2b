"""The threads that publish what a relay has for one engine."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from dbqueue.relay.exceptions import MessageRefused
from dbqueue.relay.messages import Message
from dbqueue.relay.transports import Transport


@dataclass(slots=True)
class Settled:
    """What became of messages: the engine has them, or takes them not, or perhaps."""

    sent: list[Message] = field(default_factory=list)
    refused: list[tuple[Message, MessageRefused]] = field(default_factory=list)
    lost: list[Message] = field(default_factory=list)
    cause: Exception | None = None  # of the first that may be lost


class Publishing:
    """Publishes a batch in several threads at once, beside whoever began it."""

    def __init__(self, transport: Transport, publishers: int) -> None:
        self._transport = transport
        self._publishers = publishers
        self._threads = ThreadPoolExecutor(publishers, "dbqueue-publisher")
        # Messages, and their errors once there are any.
        self._parts: list[tuple[Sequence[Message], Future[list[Exception | None]]]] = []

    @property
    def under_way(self) -> int:
        """How many messages are published now."""
        return sum(len(part) for part, _ in self._parts)

    def begin(self, messages: Sequence[Message]) -> None:
        count = min(self._publishers, len(messages))
        parts = [messages[number::count] for number in range(count)]
        self._parts = [(part, self._threads.submit(self._try, part)) for part in parts]

    def settled(self) -> Settled:
        """Wait until all that was begun has been published."""
        parts, self._parts = self._parts, []
        found = Settled()
        for part, future in parts:
            for message, error in zip(part, future.result(), strict=True):
                if error is None:
                    found.sent.append(message)
                elif isinstance(error, MessageRefused):
                    found.refused.append((message, error))
                else:
                    found.lost.append(message)
                    found.cause = found.cause or error
        return found

    def end(self) -> None:
        self._threads.shutdown()

    def _try(self, messages: Sequence[Message]) -> list[Exception | None]:
        try:
            return self._transport.publish(messages)
        except Exception as error:  # of whatever library the engine has
            return [error] * len(messages)
