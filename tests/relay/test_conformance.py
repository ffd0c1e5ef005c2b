"""The transports keep to what is asked of each."""

import base64
import json

import pytest

from dbqueue.relay.conformance import TransportConformance
from tests.relay.transports import MemoryTransport
from tests.support.processes import once, wait_until

APP = "tests.relay.celery_app"


class TestMemory(TransportConformance):
    @pytest.fixture(autouse=True)
    def _empty(self):
        yield
        MemoryTransport.published.clear()

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
    def _with_redis(self, broker, redis_server, monkeypatch):
        pytest.importorskip("celery", reason="pip install celery")
        from tests.relay import celery_app

        url = f"redis://127.0.0.1:{redis_server[0]}/0"
        monkeypatch.setattr(celery_app.app.conf, "broker_url", url)
        self.broker, self.made = broker, []
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
        wait_until(lambda: self.broker.llen("video") == count, f"{count} have come")
        return list(map(_text, self.broker.lrange("video", 0, -1)))

    def make_unreachable(self):
        return self._make("away")


def _text(raw):
    (text,), _, _ = json.loads(base64.b64decode(json.loads(raw)["body"]))
    return text
