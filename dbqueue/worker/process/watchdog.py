"""Aborts connections whose server no longer answers, so that waiting ends."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from dbqueue import dialects
from dbqueue.worker.process.files import INTERVAL, files

logger = logging.getLogger(__name__)

PATIENCE = 8.0  # seconds that one answer may take
_INTERVAL = 2.0  # seconds between two checks


class Watchdog:
    """Watches one thread's calls of its database from a thread of its own.

    A pooler that froze, or a proxy that lost its server, keeps a connection open and
    never answers; TCP cannot tell, and recv() would wait for ever. Aborted, the call
    fails like any other outage.
    """

    def __init__(self, alias: str, others: Callable[[], list[Any]] = list) -> None:
        self.alias = alias
        self._others = others  # further connections of the driver's
        self._since = self._look_at = 0.0
        self.has_new_file = False  # the database, since its user last asked
        self._thread: threading.Thread | None = None

    @contextmanager
    def during(self) -> Iterator[None]:
        """Watch the calls inside; each statement may take PATIENCE seconds.

        Raises OperationalError, instead, while the database's file is gone.
        """
        wrapper = connections[self.alias]
        if time.monotonic() >= self._look_at:
            self._look_for_new_file(wrapper)
        if self._thread is None and dialects.of(self.alias).is_remote:
            self._start(wrapper)
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = 0.0

    def _look_for_new_file(self, wrapper: Any) -> None:
        if files.look(self.alias):
            self.has_new_file = True
            wrapper.close()
        self._look_at = time.monotonic() + INTERVAL

    def _start(self, wrapper: Any) -> None:
        wrapper.execute_wrappers.append(self._time)
        self._thread = threading.Thread(
            target=self._watch, args=[wrapper], name="dbqueue-watchdog", daemon=True
        )
        self._thread.start()

    def _time(self, execute: Any, sql: Any, params: Any, many: Any, more: Any) -> Any:
        if self._since:
            self._since = time.monotonic()
        try:
            return execute(sql, params, many, more)
        finally:
            if self._since:
                self._since = time.monotonic()

    def _watch(self, wrapper: Any) -> None:
        suspect = 0.0
        while True:
            time.sleep(_INTERVAL)
            since = self._since
            late = since and time.monotonic() - since > PATIENCE
            if late and since != suspect:
                # The server would go on, and nobody would know of what it commits.
                dialects.of(self.alias).cancel(wrapper.connection, _INTERVAL)
            # At the second check: a job that holds the GIL may hold up both threads.
            elif late:
                logger.error("No answer for %.0f s; cutting the connection", PATIENCE)
                for raw in (wrapper.connection, *self._others()):
                    dialects.of(self.alias).abort(raw)
            suspect = since if late else 0.0
