"""A TCP proxy before a PostgreSQL server that can be made to misbehave."""

import os
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit


class Proxy:
    """Hands bytes on in both directions, until it is told otherwise.

    `mute()` lets every connection of this moment stay open and swallow everything; new
    ones work. `cut()` ends them. `delay` is how late everything arrives, in seconds.
    """

    def __init__(self, database_url):
        parts = urlsplit(database_url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        self._server = os.path.join(folder, f".s.PGSQL.{parts.port or 5432}")
        self._ear = socket.create_server(("127.0.0.1", 0))
        self._pairs = []
        self._muted = set()
        self.delay = 0.0
        port = self._ear.getsockname()[1]
        self.url = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def mute(self):
        self._muted.update(self._pairs)

    def cut(self):
        for pair in self._pairs:
            cut(pair)

    def cut_muted(self):
        """End what is mute, as when a host that froze is taken away."""
        for pair in self._muted:
            cut(pair)

    def close(self):
        self._ear.close()
        self.cut()

    def ways(self):
        """Return what a new connection's bytes pass on their way there and back."""
        return _unchanged, _unchanged

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._ear.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                pair = (client, server)
                self._pairs.append(pair)
                there, back = self.ways()
                for ends, way in ((pair, there), (pair[::-1], back)):
                    threading.Thread(
                        target=self._carry, args=(pair, *ends, way), daemon=True
                    ).start()

    def _carry(self, pair, source, goal, way):
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.delay:
                    time.sleep(self.delay)
                data = way(data)
                if data is None:
                    return cut(pair)
                if pair not in self._muted:
                    goal.sendall(data)
        # A mute connection hides its end from the other side, too.
        if pair not in self._muted:
            with suppress(OSError):
                goal.shutdown(socket.SHUT_RDWR)
        return None


def cut(pair):
    for end in pair:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _unchanged(data):
    return data
