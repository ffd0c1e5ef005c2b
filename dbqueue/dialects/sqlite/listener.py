"""Watches an SQLite file for commits."""

import logging
import os
import sqlite3
import threading
import time
from contextlib import closing, suppress
from typing import Any

from django.db import Error, connections

from dbqueue.dialects.listener import ANYTHING, FIRST_RETRY, NullListener
from dbqueue.dialects.session import file_at
from dbqueue.dialects.sqlite.session import SQLiteSession

logger = logging.getLogger(__name__)

# Looks without a commit after which a listener looks half as often.
LULL = 100
# Seconds between looks whether the file is still the one that is open.
_FILE_INTERVAL = 1.0


class SQLiteListener(NullListener):
    """A thread that looks whether another connection has committed.

    SQLite counts the commits of a file. Reading the counter takes a few microseconds,
    so one process may look often for all of a worker's.
    """

    def __init__(self, alias: str, interval: float) -> None:
        self._alias = alias
        self._interval = interval
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="dbqueue-listener", daemon=True
            )
            self._thread.start()

    def fileno(self) -> int | None:
        return self._reader

    def received(self) -> set[str]:
        try:
            return {ANYTHING} if os.read(self._reader, 65_536) else set()
        except BlockingIOError:
            return set()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        wrapper: Any = connections[self._alias]
        while not self._closed.is_set():
            self._file = file_at(SQLiteSession.path(wrapper))
            if self._file is None:  # whoever connects would make one
                self.is_listening = False
                self._closed.wait(_FILE_INTERVAL)
                continue
            try:
                raw = wrapper.get_new_connection(wrapper.get_connection_params())
                with closing(raw):
                    self._look(raw, wrapper)
            except (sqlite3.Error, Error) as error:
                if self.is_listening:
                    logger.warning(
                        "Cannot watch the file for commits; polling instead: %s", error
                    )
                self.is_listening = False
                self._closed.wait(FIRST_RETRY)

    def _look(self, raw: sqlite3.Connection, wrapper: Any) -> None:
        """Look for as long as the file is the one that is open."""
        seen, quiet, check_at = None, 0, 0.0
        while not self._closed.is_set():
            if (now := time.monotonic()) > check_at:
                if file_at(SQLiteSession.path(wrapper)) != self._file:
                    return
                check_at = now + _FILE_INTERVAL
            # time.sleep() costs less CPU than Event.wait().
            time.sleep(self._interval * (1 if quiet < LULL else 2))
            quiet += 1
            ((version,),) = raw.execute("PRAGMA data_version")
            self.is_listening = True
            if version != seen:
                seen, quiet = version, 0
                with suppress(BlockingIOError):  # full: it will wake anyway
                    os.write(self._writer, b"!")
