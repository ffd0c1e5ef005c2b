"""Hosts of their own on one machine: network namespaces on a bridge.

One may be cut off as by a cable that was pulled: packets vanish, and nobody is told.
"""

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import pytest

from tests.support.processes import send

PREFIX = "dbq"
NAMES = Path("/run/netns")
# Meant for tests of networks: nobody's own is there. Each run has a part of its own.
ADDRESSES, BITS = ip_network("198.18.0.0/15"), 29


class Network:
    """The bridge, by which this process reaches all hosts, and they each other."""

    def __init__(self, size):
        demand_namespaces()
        sweep()
        self.bridge = f"{PREFIX}{os.getpid()}"
        parts = list(ADDRESSES.subnets(new_prefix=BITS))
        ours, *others = map(str, parts[os.getpid() % len(parts)].hosts())
        lay(self.bridge)
        try:
            ip("address", "add", f"{ours}/{BITS}", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            numbered = enumerate(others[:size], 1)
            self.hosts = [Host(self.bridge, *pair) for pair in numbered]
            for number, address in enumerate([ours, *others[:size]]):
                self._make_known(number, address)
        except BaseException:
            self.close()
            raise

    def close(self):
        remove(self.bridge)

    def _make_known(self, number, address):
        """Have all know an address for good, or who asks finds that it is away."""
        known = (address, "lladdr", hardware(number), "nud", "permanent")
        if number:
            ip("neighbour", "replace", *known, "dev", self.bridge)
        for host in self.hosts:
            if host.address != address:
                host.ip("neighbour", "replace", *known, "dev", "eth0")


class Host:
    """A host with one address, and what runs on it."""

    def __init__(self, bridge, number, address):
        self.address = address
        self._bridge, self._name = bridge, f"{bridge}-{number}"
        ip("netns", "add", self._name)
        peer = ("name", "eth0", "address", hardware(number), "netns", self._name)
        ip("link", "add", self._name, "type", "veth", "peer", *peer)
        self.ip("address", "add", f"{address}/{BITS}", "dev", "eth0")
        for device in ("lo", "eth0"):
            self.ip("link", "set", device, "up")
        ip("link", "set", self._name, "up")
        self.join()

    def command(self, *command):
        """Return the command that runs this one here."""
        return ["ip", "netns", "exec", self._name, *map(str, command)]

    def cut_off(self):
        ip("link", "set", self._name, "nomaster")

    def join(self):
        ip("link", "set", self._name, "master", self._bridge)

    def kill(self):
        """Kill all that runs here, as if its power had failed."""
        kill_all(self._name)

    def ip(self, *arguments):
        return ip("-netns", self._name, *arguments)


def demand_namespaces():
    if not shutil.which("ip") or os.geteuid() != 0:
        pytest.skip(
            "!!! NO NETWORK NAMESPACES: needs root, apt-get install iproute2 !!!"
        )


def lay(bridge):
    try:
        ip("link", "add", bridge, "address", hardware(0), "type", "bridge")
    except subprocess.CalledProcessError as error:  # as root of a container may hear
        pytest.skip(f"!!! NO NETWORK NAMESPACES: {error.stderr.strip()} !!!")


def sweep():
    """Remove what runs have left that were killed; one of them may have had our id."""
    for link in json.loads(ip("-json", "link", "show", "type", "bridge") or "[]"):
        pid = link.get("ifname", "").removeprefix(PREFIX)
        if pid.isdigit() and (int(pid) == os.getpid() or not runs(pid)):
            remove(f"{PREFIX}{pid}")


def remove(bridge):
    """Remove the bridge, its hosts, and what runs there; others may do so, too."""
    for name in [path.name for path in NAMES.glob(f"{bridge}-*")]:
        with suppress(subprocess.CalledProcessError):
            kill_all(name)
            ip("netns", "delete", name)
    with suppress(subprocess.CalledProcessError):
        ip("link", "delete", bridge)


def kill_all(name):
    while pids := ip("netns", "pids", name).split():
        for pid in map(int, pids):
            send(pid, signal.SIGKILL)


def hardware(number):
    return f"02:64:62:71:00:{number:02x}"


def runs(pid):
    return Path(f"/proc/{pid}").exists()


def ip(*arguments):
    """Return what the program says. Raises CalledProcessError."""
    command = ["ip", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
