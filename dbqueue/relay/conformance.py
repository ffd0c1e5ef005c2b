"""What every transport has to keep to, as tests: subclass TransportConformance.

The subclass says in three methods how its engine is reached. pytest runs the rest.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

from dbqueue.relay.messages import Call, Message
from dbqueue.relay.transports import Transport


class TransportConformance:
    """Tests of a transport, on an engine that is really there."""

    def make_transport(self) -> Transport:
        """Return a transport to an engine in which no message waits."""
        raise NotImplementedError

    def received(self, count: int) -> Sequence[str]:
        """Return the texts that wait in the engine, once there are so many."""
        raise NotImplementedError

    def make_unreachable(self) -> Transport:
        """Return a transport to an engine that does not answer."""
        raise NotImplementedError

    def test_a_message_that_is_confirmed_has_come(self) -> None:
        transport, message = self.make_transport(), example()

        assert transport.publish([message]) == [None]

        (text,) = self.received(1)
        assert Message.of(text) == message

    def test_a_call_arrives_as_it_was_written(self) -> None:
        transport = self.make_transport()
        message = example(track="handoff", call=CALL, expires=None)

        assert transport.publish([message]) == [None]

        (text,) = self.received(1)
        assert Message.of(text) == message

    def test_many_threads_may_publish_at_once(self) -> None:
        transport = self.make_transport()
        parts = [[example() for _ in range(5)] for _ in range(8)]

        with ThreadPoolExecutor(8) as threads:
            errors = list(threads.map(transport.publish, parts))

        assert errors == [[None] * 5] * 8
        sent = sorted(message.token for part in parts for message in part)
        assert sorted(Message.of(text).token for text in self.received(40)) == sent

    def test_the_depth_counts_what_waits_or_is_unknown(self) -> None:
        transport = self.make_transport()
        assert transport.depth() in (0, None)

        transport.publish([example() for _ in range(3)])

        assert transport.depth() in (3, None)

    def test_replies_come_to_the_relay_and_no_more_once_they_are_written(self) -> None:
        transport, texts = self.make_transport(), [f"é {n}" for n in range(40)]
        if "result" not in transport.TRACKS:
            return

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda text: transport.reply([text]), texts))

        assert sorted(read(transport, 40)) == sorted(texts)
        assert transport.receive(refuse, 0.5) == 0

    def test_replies_that_were_not_written_come_again(self) -> None:
        transport = self.make_transport()
        if "result" not in transport.TRACKS:
            return
        transport.reply(["first", "second"])

        for _ in range(2):
            with suppress(ConnectionError):
                transport.receive(refuse, 10.0)

        assert set(read(transport, 2)) == {"first", "second"}

    def test_an_engine_that_is_there_is_healthy(self) -> None:
        self.make_transport().health()

    def test_what_is_not_confirmed_is_told_of(self) -> None:
        transport = self.make_unreachable()

        try:
            errors = transport.publish([example(), example()])
        except Exception:  # it may say so of all at once
            return

        assert len(errors) == 2
        assert all(isinstance(error, Exception) for error in errors)

    def test_an_engine_that_is_away_is_not_healthy(self) -> None:
        transport = self.make_unreachable()
        healthy = False

        with suppress(Exception):
            transport.health()
            healthy = True

        assert not healthy

    def test_replies_of_an_engine_that_is_away_cannot_be_read(self) -> None:
        transport = self.make_unreachable()
        if "result" not in transport.TRACKS:
            return
        silent = False

        with suppress(Exception):
            transport.receive(refuse, 0.1)
            silent = True

        assert not silent

    def test_a_transport_that_was_closed_publishes_again(self) -> None:
        transport = self.make_transport()
        transport.close()

        assert transport.publish([example()]) == [None]

        transport.close()


def read(transport: Transport, count: int) -> list[str]:
    """Return the replies that come, once there are so many."""
    found: list[str] = []
    until = time.monotonic() + 60.0
    while len(found) < count and time.monotonic() < until:
        transport.receive(found.extend, 1.0)
    return found


def refuse(texts: Sequence[str]) -> None:
    raise ConnectionError("the database is away")


# Text of JSON, with what an encoding or a limit of the engine might break.
CALL = Call(
    args=f'["é ☃ \\" \\n", 12345678901234567890, "{"x" * 300_000}"]',
    kwargs='{"ключ": null}',
    context="{}",
    attempt=1,
    failures=0,
    max_attempts=1,
    priority=0,
    enqueued_at="2026-01-02T03:04:05.678901+00:00",
)


def example(**changes: Any) -> Message:
    """Return a message of a job that does not exist."""
    said: dict[str, Any] = {
        "id": uuid4().hex,
        "dispatch": 1,
        "token": uuid4().hex,
        "backend": "default",
        "queue": "vidéo",
        "task": "people.tasks.encode",
        "expires": 60.0,
    }
    return Message(**said | changes)
