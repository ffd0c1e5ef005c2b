"""A queue of any broker of kombu, in which an engine's workers leave their replies."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kombu.entity import Exchange, Queue

MOST = 500  # that are read and written at a time
WEIGHT = 8 * 2**20  # bytes that are enough at a time: results may be large
AT_ONCE = 0.01  # seconds that it waits for each beside the first
AGAIN = 30.0  # seconds until Redis gives again what a dead relay has read


class Mailbox:
    """`connect` makes a connection with these options of its transport more.

    What is read is taken from the broker once it is written: RabbitMQ gives it again
    when the connection of its reader ends, and Redis AGAIN later.
    """

    def __init__(self, amqp: Any, connect: Callable[..., Any], queue: Any) -> None:
        self._amqp, self._connect, self._queue = amqp, connect, queue
        self._mine = threading.local()

    def put(self, texts: Sequence[str], *, timeout: float) -> None:
        """Return once the broker has all of them for sure."""
        if getattr(self._mine, "sending", None) is None:
            # Without confirms, RabbitMQ may take a reply and lose it.
            connection = self._connect(confirm_publish=True)
            self._mine.sending = connection, self._amqp.Producer(connection)
        for text in texts:
            self._mine.sending[1].publish(
                text,
                exchange="",
                routing_key=self._queue.name,
                declare=[self._queue],
                retry=False,
                mandatory=True,
                timeout=timeout,
            )

    def collect(self, seconds: float) -> list[str]:
        """Return what comes within so many seconds, and what was not accepted yet.

        Raises if nothing comes, and the broker does not answer either.
        """
        connection, channel, got = self._open()
        with suppress(TimeoutError):
            if not got:
                connection.drain_events(timeout=seconds)
            while len(got) < MOST and sum(len(reply.body) for reply in got) < WEIGHT:
                connection.drain_events(timeout=AT_ONCE)
        if not got:
            self._queue(channel).queue_declare()
        return [_text(reply.body) for reply in got]

    def accept(self) -> None:
        """Take from the broker what was collected."""
        *_, got = self._open()
        for reply in got:
            reply.ack()
        got.clear()

    def forget(self) -> list[Any]:
        """Let go of this thread's connections, and return those that there are."""
        names = ("sending", "reading")
        found = [getattr(self._mine, name, None) for name in names]
        for name in names:
            setattr(self._mine, name, None)
        return [opened[0] for opened in found if opened is not None]

    def reset(self) -> None:
        """Let go of the connections of all threads."""
        self._mine = threading.local()

    def _open(self) -> tuple[Any, Any, list[Any]]:
        """Return this thread's connection, its channel, and what has come by it."""
        if getattr(self._mine, "reading", None) is None:
            key = f"{self._queue.name}.unacked"
            connection = self._connect(
                visibility_timeout=AGAIN,
                unacked_key=key,
                unacked_index_key=f"{key}.index",
                unacked_mutex_key=f"{key}.mutex",
            )
            got: list[Any] = []
            # Known at once: what follows may fail, and it is let go of then.
            self._mine.reading = connection, None, got
            channel = connection.default_channel
            self._mine.reading = connection, channel, got
            consumer = self._amqp.Consumer(
                channel,
                queues=[self._queue],
                on_message=got.append,
                prefetch_count=MOST,
            )
            consumer.consume()
        found: tuple[Any, Any, list[Any]] = self._mine.reading
        return found


def queue(name: str, kind: str | None) -> Any:
    """Return the queue of this name; `kind` is as RabbitMQ's "quorum", or None."""
    more = {"x-queue-type": kind} if kind else None
    direct = Exchange("")  # type: ignore[no-untyped-call]  # kombu has no types
    return Queue(name, direct, name, queue_arguments=more)  # type: ignore[no-untyped-call]  # as above


def _text(body: Any) -> str:
    # What is not UTF-8 is no reply: it is dropped, and not read for ever.
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)
