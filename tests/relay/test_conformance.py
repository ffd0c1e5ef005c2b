"""The transports keep to what is asked of each."""

from contextlib import suppress

import pytest

from dbqueue.exceptions import MessageRefused
from dbqueue.relay import Message
from dbqueue.relay.conformance import (
    CALL,
    TransportConformance,
    example,
    read,
    refuse,
)
from tests.relay.transports import MemoryTransport
from tests.support.processes import once, wait_until

APP = "tests.relay.celery_app"
AT_ONCE = 500  # of dbqueue.relay.celery, which not everybody can import


class TestMemory(TransportConformance):
    @pytest.fixture(autouse=True)
    def _empty(self):
        yield
        MemoryTransport.published.clear()
        MemoryTransport.replies.clear()

    def make_transport(self):
        return MemoryTransport("video", {})

    def received(self, count):
        return [message.as_json() for message in MemoryTransport.published]

    def make_unreachable(self):
        transport = MemoryTransport("video", {})
        transport.is_away = True
        return transport


@once
class TestCelery(TransportConformance):
    @pytest.fixture(autouse=True)
    def _with_broker(self, broker, monkeypatch):
        pytest.importorskip("celery", reason="pip install celery")
        from tests.relay import celery_app

        monkeypatch.setattr(celery_app.app.conf, "broker_url", broker.url)
        monkeypatch.setattr(celery_app.away.conf, "broker_url", broker.unreachable)
        self.broker, self.made = broker, []
        # RabbitMQ refuses messages while it makes their queue.
        transport = self.make_transport()
        wait_until(lambda: transport.publish([example()]) == [None], "it is taken")
        broker.purge()
        wait_until(lambda: is_replied(transport), "a reply is taken")
        wait_until(lambda: not transport.receive(list, 0.5), "and read")
        transport.close()  # a reader that waits would get what is meant for another
        yield
        for transport in self.made:
            transport.close()

    def _make(self, app):
        from dbqueue.relay.celery import CeleryTransport

        transport = CeleryTransport("video", {"app": f"{APP}:{app}"})
        self.made.append(transport)
        return transport

    def make_transport(self):
        return self._make("app")

    def received(self, count):
        return self.broker.received(count)

    def make_unreachable(self):
        return self._make("away")

    def test_more_than_are_read_at_once_are_confirmed(self):
        transport = self.make_transport()
        messages = [example() for _ in range(AT_ONCE + 100)]

        assert transport.publish(messages) == [None] * len(messages)

        assert len(self.received(len(messages))) == len(messages)

    def test_a_message_that_is_too_large_for_the_broker_costs_no_other(self):
        transport = self.make_transport()
        large = example(track="handoff", call=CALL)
        messages = [*[example() for _ in range(20)], large, example(), example()]

        with self.broker.taking_no_more_than(100_000):
            errors = transport.publish(messages)

        if self.broker.package == "redis-server":  # it takes what fits into it
            assert not any(errors)
            return
        assert [error for error in errors if error is not None] == [errors[20]]
        assert isinstance(errors[20], MessageRefused)
        assert "larger than" in str(errors[20])
        taken = {Message.of(text).id for text in self.broker.texts()}
        assert taken == {message.id for message in messages if message != large}

    def test_of_a_broken_connection_only_the_first_call_is_told(self):
        transport = self.make_transport()
        transport.publish([example()])
        for connection in transport._all:
            connection.transport.close_connection(connection.connection)

        errors = [transport.publish([example(), example()]) for _ in range(2)]

        assert errors[1] == [None, None]
        assert len(errors[0]) == 2

    def test_a_broken_connection_is_not_asked_twice_for_the_depth(self):
        transport = self.make_transport()
        transport.depth()
        for connection in transport._all:
            connection.transport.close_connection(connection.connection)

        with suppress(Exception):  # kombu may connect anew by itself
            transport.depth()

        assert transport.depth() == 0

    def test_replies_that_were_not_written_stay_with_the_relay(self):
        transport = self.make_transport()
        transport.reply(["first"])
        with suppress(ConnectionError):
            transport.receive(refuse, 10.0)
        (before,) = transport._mailbox._mine.reading[-1]

        for _ in range(25):  # a quorum queue gives a message 20 times
            with suppress(ConnectionError):
                transport.receive(refuse, 0.1)

        assert transport._mailbox._mine.reading[-1] == [before]
        transport.reply(["second"])
        assert read(transport, 2) == ["first", "second"]

    def test_large_replies_are_not_all_held_at_once(self, monkeypatch):
        from dbqueue.relay.celery import mailbox

        monkeypatch.setattr(mailbox, "WEIGHT", 25)
        transport, found = self.make_transport(), []
        transport.reply(["x" * 10] * 6)

        transport.receive(found.extend, 10.0)

        assert len(found) == 3
        assert len(read(transport, 3)) == 3


def is_replied(transport):
    try:
        transport.reply(["hello"])
    except Exception:
        return False
    return True
