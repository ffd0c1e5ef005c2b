"""A cluster of three nodes of RabbitMQ, each on a host of its own that may be cut off.

A node that is cut off pauses, as RabbitMQ recommends with quorum queues: with the other
strategies it would take messages that are dropped when it is back.
"""

import re
import subprocess
import time
from contextlib import contextmanager

import pytest

from tests.relay.brokers import QUEUE, REPLIES, demand
from tests.support.network import Network
from tests.support.processes import wait_until
from tests.support.rabbitmq import CONTROL, SERVER, Node

PORT = 5672
SETTINGS = """
loopback_users = none
cluster_partition_handling = pause_minority
net_ticktime = {tick}
cluster_formation.peer_discovery_backend = classic_config
{nodes}
"""
TICK = 8  # seconds until nodes count one as away that they do not hear
PAUSED = "Cluster minority/secondary status detected"
# Seconds after which a node that is back is restarted, as an operator does: Erlang's
# server of names, of release 25, may wait for ever when it hears the others again.
STUCK = 60.0


class Member(Node):
    """A node of the cluster, which knows the names of all."""

    def __init__(self, folder, host, names):
        super().__init__(folder)
        self.host, self.port = host, PORT
        self.name = name_of(host)
        nodes = "\n".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}"
            for number, name in enumerate(names, 1)
        )
        settings = SETTINGS.format(tick=TICK, nodes=nodes)
        (folder / "rabbitmq.conf").write_text(settings)
        self._process = None
        self._stuck_at = float("inf")

    @property
    def url(self):
        return f"amqp://{self.host.address}:{PORT}//"

    @property
    def log(self):
        return (self.folder / "log" / f"{self.name}.log").read_text()

    def environment(self):
        return super().environment() | {
            "ERL_EPMD_PORT": "4369",  # the same on all hosts; there each is alone
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": self.host.address,
            "RABBITMQ_NODE_PORT": str(PORT),
        }

    def start(self):
        with (self.folder / "output").open("a") as output:
            self._process = subprocess.Popen(
                self.host.command(SERVER),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_up(self):
        wait_until(self._is_up, f"{self.name} answers")

    def _is_up(self):
        if self.answers():
            return True
        if time.monotonic() > self._stuck_at:
            self._stuck_at = float("inf")
            self._end()
            self.start()
        return False

    def answers(self):
        try:
            with self.channel():
                return True
        except OSError:
            return False

    @contextmanager
    def channel(self):
        amqp = pytest.importorskip("amqp")
        host = f"{self.host.address}:{PORT}"
        with amqp.Connection(host, connect_timeout=5, read_timeout=10) as connection:
            yield connection.channel()

    @contextmanager
    def cut_off(self):
        """Cut it off from the others and from its clients, which are not told."""
        paused = self.log.count(PAUSED)
        self.host.cut_off()
        try:
            yield
            wait_until(lambda: self.log.count(PAUSED) > paused, f"{self.name} paused")
        finally:
            self.host.join()
            self._stuck_at = time.monotonic() + STUCK

    @contextmanager
    def killed(self):
        self._end()
        try:
            yield
        finally:
            self.start()

    def _end(self):
        self.host.kill()
        self._process.wait()

    def members(self, queue):
        """Return the names of a quorum queue's nodes, and of its leader at last.

        They are none while this node has no part in the queue.
        """
        asked = f"ra:members({{'%2F_{queue}', node()}})."
        command = self.host.command(CONTROL, "eval", asked)
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True
        )
        found = re.findall(r"rabbit@[\d.]+", done.stdout)
        return found if len(found) > 1 else []


class Nodes:
    """The three of them, as one broker."""

    def __init__(self, folder):
        demand(SERVER.exists(), "rabbitmq-server")
        self._network = Network(3)
        names = [name_of(host) for host in self._network.hosts]
        self.all = []
        for number, host in enumerate(self._network.hosts, 1):
            own = folder / f"node-{number}"
            own.mkdir()
            self.all.append(Member(own, host, names))
        self.there = list(self.all)  # those that are neither cut off nor dead

    @property
    def url(self):
        return ";".join(node.url for node in self.all)

    def start(self):
        """Start them one after the other: each joins those that there are."""
        for node in self.all:
            node.start()
            node.wait_until_up()

    def stop(self):
        self._network.close()

    def empty(self):
        """Delete the queues; whoever needs them makes them again, on all nodes."""
        with self.there[0].channel() as channel:
            for name in (QUEUE, REPLIES):
                channel.queue_delete(name)

    def leader_of(self, queue):
        """Return the name of the node that leads a quorum queue, which is on all."""
        node = self.there[0]
        *members, leader = wait_until(lambda: node.members(queue), f"{queue} is led")
        assert set(members) == {node.name for node in self.all}
        return leader

    @contextmanager
    def lost(self, name, how):
        """Be without a node that was cut off, or killed, and have it back then."""
        (node,) = (node for node in self.all if node.name == name)
        self.there.remove(node)
        try:
            with getattr(node, how)():
                yield
            node.wait_until_up()
            wait_until(lambda: node.members(QUEUE), f"{name} has its part of the queue")
        finally:
            self.there.append(node)


def name_of(host):
    return f"rabbit@{host.address}"
