"""Fixtures of the relay: an engine in memory, and Celery with brokers of its own."""

import sys
from uuid import uuid4

import pytest
from django.test import override_settings

from dbqueue.relay.dispatching import Dispatcher
from dbqueue.relay.engines import engines
from dbqueue.relay.execution import execute
from dbqueue.relay.tracks import hosting, post
from tests.relay.brokers import RabbitMQ, Redis
from tests.relay.transports import MemoryTransport
from tests.support.processes import MANAGE, ROOT, on_demand
from tests.support.workers import together


def tasks(**engine):
    """Return TASKS with an engine for the queue "video"."""
    engine = {"transport": "tests.relay.transports.MemoryTransport", **engine}
    backend = "dbqueue.backend.DatabaseBackend"
    options = {"engines": {"video": engine}}
    return {"default": {"BACKEND": backend, "QUEUES": [], "OPTIONS": options}}


class Engine:
    """A relay that is led by hand, and the messages that it has published."""

    def __init__(self):
        self.messages = MemoryTransport.published
        self._dispatchers = []

    def relay(self):
        """Have a relay of its own look once; return what it has published."""
        before = len(self.messages)
        (engine,) = engines()
        dispatcher = Dispatcher(engine)
        self._dispatchers.append(dispatcher)
        dispatcher.step()
        return self.messages[before:]

    def read(self):
        """Have a relay of its own write what was replied."""
        (engine,) = engines()
        dispatcher = Dispatcher(engine)
        self._dispatchers.append(dispatcher)
        dispatcher.reader.drain()

    def run(self, message):
        """Have the engine run the message; return what became of it."""
        return together(lambda: execute(message.as_json()))[0]

    def close(self):
        for dispatcher in self._dispatchers:
            dispatcher.close()
        MemoryTransport.published.clear()
        MemoryTransport.replies.clear()
        MemoryTransport.is_away = False


@pytest.fixture
def engine(transactional_db):
    """Give the queue "video" an engine in memory."""
    with override_settings(TASKS=tasks()):
        engine = Engine()
        yield engine
        engine.close()
        leave()


def leave():
    """Let the threads end that keep leases of this process."""
    for host in hosting._hosts.values():
        host.retire()
        host._thread.join()
    hosting._hosts.clear()
    for made in post._posts.values():
        made.ended = True
        made._thread.join()
    post._posts.clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """Start Debian's redis-server."""
    server = Redis(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory):
    """Start Debian's rabbitmq-server: one node, which takes seconds."""
    server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=on_demand)])
def broker(request):
    """Return a broker in which no message waits, each in turn."""
    broker = request.getfixturevalue(f"{request.param}_server")
    broker.empty()
    return broker


class Cluster:
    """A relay and workers of Celery, in processes of their own."""

    def __init__(self, start, url, **engine):
        transport = "dbqueue.relay.celery.CeleryTransport"
        self.engine = {
            **{"transport": transport, "app": "tests.relay.celery_app:app"},
            **engine,
        }
        self.url = url
        self._start = start
        self._workers = 0  # each has another name, or RabbitMQ refuses it

    def relay(self, *arguments, **settings):
        return self._run([sys.executable, MANAGE, "runrelay", *arguments], settings)

    def worker(self, *arguments, url=None, **settings):
        command = [sys.executable, "-m", "celery", "-A", "tests.relay.celery_app"]
        self._workers += 1
        quick = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        options = ("worker", "-Q", "video", "-c", "2", "-l", "INFO", *quick)
        name = f"worker-{self._workers}@localhost"
        return self._run([*command, *options, "-n", name, *arguments], settings, url)

    def worker_without_database(self, *arguments, **settings):
        """Start a worker whose settings lead to no database."""
        nowhere = f"postgresql://nobody@127.0.0.1:1/{uuid4().hex}"
        return self.worker(*arguments, url=nowhere, **settings)

    def _run(self, command, settings, url=None):
        settings = {"TASKS": tasks(**self.engine), **settings}
        more = {"DBQUEUE_TEST_BROKER": self.url, "PYTHONPATH": str(ROOT)}
        if url is not None:
            more["DATABASE_URL"] = url
        return self._start(command, [], settings=settings, **more)


@pytest.fixture
def cluster(start, broker):
    """Return a function that makes a Cluster, with these settings of the engine."""
    pytest.importorskip("celery", reason="pip install celery")

    def make(**engine):
        return Cluster(start, broker.url, **engine)

    return make
