"""Debian's redis-server and rabbitmq-server, with ports and folders of their own."""

import base64
import json
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest

from tests.support.processes import send, session, wait_until
from tests.support.rabbitmq import CONTROL, SERVER, Node, free_port

QUEUE = "video"
REPLIES = f"dbqueue.replies.{QUEUE}"


class Broker:
    """A broker in a process of its own: it may be killed, and be started again."""

    package = ""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self._process = None

    def start(self):
        with (self.folder / "output").open("a") as output:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_until(self.answers, f"{self.package} answers")

    def crash(self):
        """Kill it in the middle of what it does."""
        self.kill()

    def kill(self):
        self._tell(signal.SIGKILL)
        self._process.wait()

    @contextmanager
    def silent(self):
        """Have it stand still: it takes connections, and says nothing."""
        self._tell(signal.SIGSTOP)
        try:
            yield
        finally:
            self._tell(signal.SIGCONT)

    def _tell(self, number):
        for entry in session(self._process.pid):
            send(entry.pid, number)

    def environment(self):
        return None

    @contextmanager
    def taking_no_more_than(self, size):
        """Have it refuse messages of more bytes, if it can."""
        yield

    def received(self, count):
        """Return the texts that wait, once there are so many."""
        wait_until(lambda: self.depth() == count, f"{count} have come")
        return self.texts()


class Redis(Broker):
    package = "redis-server"
    full_says = "used memory"
    reads_later = False  # what it was sent while it was full
    unreachable = "redis://127.0.0.1:1/0"

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self):
        demand(shutil.which("redis-server"), self.package)
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        nothing = ("--save", "", "--appendonly", "no")
        return [*command, *nothing, "--dir", str(self.folder)]

    def answers(self):
        return listens(self.port)

    def client(self):
        redis = pytest.importorskip("redis")
        return redis.Redis(port=self.port)

    def empty(self):
        """Delete the queue; whoever needs it makes it again."""
        with self.client() as client:
            client.flushall()

    purge = empty

    def depth(self):
        with self.client() as client:
            return client.llen(QUEUE)

    def texts(self):
        with self.client() as client:
            packed = [json.loads(raw)["body"] for raw in client.lrange(QUEUE, 0, -1)]
        return [text_in(base64.b64decode(body)) for body in packed]

    @contextmanager
    def full(self):
        with self.client() as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)


class RabbitMQ(Broker):
    """One node. Its queue is a quorum queue, which the app of the tests asks for."""

    package = "rabbitmq-server"
    full_says = "nothing was confirmed"
    reads_later = True
    unreachable = "amqp://127.0.0.1:1//"

    def __init__(self, folder):
        super().__init__(folder)
        self.node = Node(folder)
        self.port = self.node.port
        self._names = None

    @property
    def url(self):
        return f"amqp://127.0.0.1:{self.port}//"

    def command(self):
        demand(SERVER.exists(), self.package)
        if self._names is None:
            command = self.node.names_command()
            self._names = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        return [SERVER]

    def environment(self):
        return self.node.environment()

    def stop(self):
        """End it for good."""
        self.kill()
        self._names.kill()
        self._names.wait()

    def answers(self):
        try:
            with self.channel():
                return True
        except OSError:
            return False

    @contextmanager
    def channel(self):
        amqp = pytest.importorskip("amqp")
        host = f"127.0.0.1:{self.port}"
        with amqp.Connection(host, connect_timeout=5, read_timeout=10) as connection:
            yield connection.channel()

    def empty(self):
        """Delete the queue; whoever needs it makes it again."""
        with self.channel() as channel:
            for name in (QUEUE, REPLIES):
                channel.queue_delete(name)

    def purge(self):
        with self.channel() as channel:
            channel.queue_purge(QUEUE)

    def depth(self):
        from amqp.exceptions import NotFound

        try:
            with self.channel() as channel:
                return channel.queue_declare(QUEUE, passive=True).message_count
        except NotFound:
            return 0

    def texts(self):
        """Return what waits; it is given back when the channel ends."""
        with self.channel() as channel:
            found = iter(lambda: channel.basic_get(QUEUE), None)
            return [text_in(message.body) for message in found]

    def crash(self):
        # 3.10 writes half a second later which queues it has made, and confirms nothing
        # for one that it has forgotten: here a queue is no older than its test.
        self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
        self.kill()

    @contextmanager
    def full(self):
        """Have it count as short of memory, so that it takes no messages."""
        self.control("set_vm_memory_high_watermark", "absolute", "1")
        try:
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.4")

    @contextmanager
    def taking_no_more_than(self, size):
        setting = "application:set_env(rabbit, max_message_size, {})."
        self.control("eval", setting.format(size))
        try:
            yield
        finally:
            self.control("eval", setting.format(2**27))

    def control(self, *arguments):
        subprocess.run(
            [CONTROL, *arguments],
            env=self.environment(),
            check=True,
            capture_output=True,
        )


def demand(found, package):
    if not found:
        pytest.skip(f"!!! NO {package} HERE: apt-get install {package} !!!")


def listens(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def text_in(body):
    """Return the text of a message of Celery."""
    (text,), _, _ = json.loads(body)
    return text
