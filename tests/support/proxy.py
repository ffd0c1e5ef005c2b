"""A TCP proxy before a PostgreSQL server that can be made to misbehave."""

import os
import random
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

RESENT = 0.2  # seconds until Linux sends again; each time twice as many
_KEY = re.compile(rb"K\0\0\0\x0c(.{4}).{4}", re.DOTALL)  # BackendKeyData


class Proxy:
    """Hands bytes on in both directions, until it is told otherwise.

    `mute()` lets every connection of this moment stay open and swallow everything, or
    those to some of the server's processes; new ones work. `cut()` ends them. `delay`
    is how late everything arrives, in seconds. `loss` is which share of what is sent
    gets lost: TCP sends it again, and both ends see a pause.
    """

    def __init__(self, database_url):
        parts = urlsplit(database_url)
        folder = parse_qs(parts.query).get("host", [""])[0]
        self._server = os.path.join(folder, f".s.PGSQL.{parts.port or 5432}")
        self._ear = socket.create_server(("127.0.0.1", 0))
        self._pairs = []
        self._muted = set()
        self._served_by = {}  # the pid of the server's process
        self.delay = self.loss = 0.0
        port = self._ear.getsockname()[1]
        self.url = f"postgresql://{parts.username}@127.0.0.1:{port}{parts.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def mute(self, pids=None):
        self._muted.update(
            pair
            for pair in self._pairs
            if pids is None or self._served_by.get(pair) in pids
        )

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
                if source is pair[1] and pair not in self._served_by:
                    self._note_who_serves(pair, data)
                time.sleep(self.delay + self._pauses())
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

    def _note_who_serves(self, pair, data):
        if found := _KEY.search(data):
            (self._served_by[pair],) = struct.unpack("!I", found[1])

    def _pauses(self):
        """Return the seconds until what is lost has come after all."""
        pause, wait = 0.0, RESENT
        while random.random() < self.loss:
            pause, wait = pause + wait, 2 * wait
        return pause


def cut(pair):
    for end in pair:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _unchanged(data):
    return data
