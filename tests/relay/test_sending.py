"""Messages of Celery that are made after one of their kind are as send_task()'s own."""

import re
from contextlib import contextmanager
from datetime import datetime

import pytest

from dbqueue.relay.conformance import CALL, example

celery = pytest.importorskip("celery", reason="pip install celery")
signals = pytest.importorskip("celery.signals")


@pytest.fixture
def app():
    app = celery.Celery("alike", broker="memory://", set_as_current=False)
    app.conf.result_backend = None
    return app


@contextmanager
def heard():
    """Have somebody listen, so that send_task() makes each message."""
    told = []

    def listen(headers, **kwargs):
        told.append(headers["id"])
        headers["heard"] = True

    signals.before_task_publish.connect(listen)
    try:
        yield told
    finally:
        signals.before_task_publish.disconnect(listen)


def published(app, messages):
    """Return what the broker has of the messages, published in one call."""
    from dbqueue.relay.celery import _kind
    from dbqueue.relay.celery.sending import Sender

    with app.connection_for_write() as connection:
        producer = app.amqp.Producer(connection)
        sender = Sender(app, producer, {"queue": "video", "retry": False})
        for message in messages:
            sender.send(message, _kind(message))
        channel = connection.default_channel
        return [channel.basic_get("video", no_ack=True) for _ in messages]


def said(raw):
    """Return all that a worker sees, but for the moment at which it expires."""
    headers = {key: value for key, value in raw.headers.items() if key != "expires"}
    properties = dict(raw.properties)
    del properties["delivery_tag"]
    kind = raw.content_type, raw.content_encoding
    body = re.sub(rb'"expires": "[^"]+"', b"", raw.body)  # there in protocol 1
    return body, headers, properties, raw.delivery_info, kind


def moment(raw):
    text = raw.headers.get("expires")
    return text and datetime.fromisoformat(text)


KINDS = {
    "full": {},
    "a time limit": {"timeout": 20.0},
    "result": {"track": "result", "call": CALL, "timeout": 3.0},
    "handoff": {"track": "handoff", "call": CALL, "expires": None},
    "handoff with limits": {"track": "handoff", "call": CALL, "timeout": 3.0},
}
SETTINGS = {
    "defaults": {},
    "compression": {"task_compression": "gzip"},
    "pickle": {"task_serializer": "pickle"},
    "protocol 1": {"task_protocol": 1},
    "transient": {"task_default_delivery_mode": "transient"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_workers_see_no_difference(app, kind, settings):
    app.conf.update(SETTINGS[settings])
    messages = [example(**KINDS[kind]) for _ in range(3)]

    alike = published(app, messages)
    app.conf.task_send_sent_event = True  # then send_task() makes each
    alone = published(app, messages)

    assert [said(raw) for raw in alike] == [said(raw) for raw in alone]
    for one, other in zip(alike, alone, strict=True):
        if moment(one) is not None:
            assert abs((moment(one) - moment(other)).total_seconds()) < 30.0


def test_who_listens_is_told_of_each_message_and_may_change_it(app):
    messages = [example() for _ in range(3)]

    with heard() as told:
        found = published(app, messages)

    assert told == [message.name for message in messages]
    assert all(raw.headers["heard"] for raw in found)


def test_of_several_kinds_each_keeps_its_own_limits(app):
    limits = [None, 1.0, 2.0, 1.0, None]
    messages = [example(timeout=limit) for limit in limits]

    found = published(app, messages)

    assert [raw.headers["timelimit"][0] for raw in found] == [
        limit and limit + 30.0 for limit in limits
    ]


def test_monitors_do_not_show_arguments(app):
    message = example(track="handoff", call=CALL)

    (raw,) = published(app, [message])

    assert raw.headers["argsrepr"] == message.task
