"""Fixtures of the relay: an engine in memory, and Celery with a Redis of its own."""

import shutil
import socket
import subprocess
import sys
from uuid import uuid4

import pytest
from django.test import override_settings

from dbqueue.relay import hosting
from dbqueue.relay.dispatching import Dispatcher
from dbqueue.relay.engines import engines
from dbqueue.relay.execution import execute
from tests.relay.transports import MemoryTransport
from tests.support.processes import MANAGE, ROOT, wait_until
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

    def run(self, message):
        """Have the engine run the message; return what became of it."""
        return together(lambda: execute(message.as_json()))[0]

    def close(self):
        for dispatcher in self._dispatchers:
            dispatcher.close()
        MemoryTransport.published.clear()
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


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """Start Debian's redis-server, and give its port and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("!!! NO redis-server HERE: apt-get install redis-server !!!")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(
        [*command, "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: answers(port), "redis-server answers")
        yield port, process
        process.kill()


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


@pytest.fixture
def broker(redis_server):
    """Return a client of the test's Redis, which is empty."""
    redis = pytest.importorskip("redis")
    client = redis.Redis(port=redis_server[0])
    client.flushall()
    yield client
    client.close()


class Cluster:
    """A relay and workers of Celery, in processes of their own."""

    def __init__(self, start, port, **engine):
        transport = "dbqueue.relay.celery.CeleryTransport"
        self.engine = {
            **{"transport": transport, "app": "tests.relay.celery_app:app"},
            **engine,
        }
        self.url = f"redis://127.0.0.1:{port}/0"
        self._start = start

    def relay(self, *arguments, **settings):
        return self._run([sys.executable, MANAGE, "runrelay", *arguments], settings)

    def worker(self, *arguments, url=None, **settings):
        command = [sys.executable, "-m", "celery", "-A", "tests.relay.celery_app"]
        quick = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        options = ("worker", "-Q", "video", "-c", "2", "-l", "INFO", *quick)
        return self._run([*command, *options, *arguments], settings, url)

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
def cluster(start, redis_server, broker):
    """Return a function that makes a Cluster, with these settings of the engine."""
    pytest.importorskip("celery", reason="pip install celery")

    def make(**engine):
        return Cluster(start, redis_server[0], **engine)

    return make
