"""How a node of Debian's rabbitmq-server is started, with everything of its own."""

import os
import socket
from pathlib import Path

# Where Debian has it. The one in the PATH is for a user whose folders are fixed.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
SERVER, CONTROL = PROGRAMS / "rabbitmq-server", PROGRAMS / "rabbitmqctl"


class Node:
    """Where a node has its files and its ports, and what makes it use them."""

    def __init__(self, folder):
        self.folder = folder
        # The second is of the program that tells nodes of each other.
        self.port, self._names, self._distribution = (free_port() for _ in range(3))
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text("")

    def names_command(self):
        return ["epmd", "-address", "127.0.0.1", "-port", str(self._names)]

    def environment(self):
        folder = self.folder
        return os.environ | {
            "HOME": str(folder.parent),  # of the cookie
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # It would keep all cores busy to answer a little sooner.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
        }


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
