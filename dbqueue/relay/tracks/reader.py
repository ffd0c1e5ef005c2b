"""The thread of a relay that reads what an engine's workers reply."""

import logging
import threading
import time

from django.db import Error

from dbqueue import conf
from dbqueue.relay.tracks.result import ResultTrack
from dbqueue.relay.transports import Transport
from dbqueue.worker.process.connections import drop, prepare_sessions

logger = logging.getLogger(__name__)

WAITING = 1.0  # seconds that it waits for replies at a time
LONGEST_PAUSE = 30.0  # seconds between two attempts to reach the engine
BEATS = 6  # in a lease of DBQUEUE
MAX_PAUSE = 5.0  # seconds between two attempts to reach the database
# Seconds after which a reader counts as up to date that has never found nothing.
CATCHING_UP = 60.0


class Reader:
    """Has replies written, and takes them from the engine once they are."""

    def __init__(self, track: ResultTrack, transport: Transport) -> None:
        self.engine = track.engine
        self._track, self._transport = track, transport
        self._stopping = threading.Event()
        self._pause = 0.0
        self._is_behind = False
        self._read_since: float | None = None  # monotonic: without trouble
        self._thread = threading.Thread(
            target=self._read, name="dbqueue-reader", daemon=True
        )

    @property
    def is_behind(self) -> bool:
        """Whether replies may wait from when nobody could read, or write, them.

        A job that seems not to have started may have ended long ago.
        """
        since = self._read_since
        is_late = since is not None and time.monotonic() > since + CATCHING_UP
        return self._is_behind and not is_late

    def fall_behind(self) -> None:
        """Note that replies may wait which nobody has read."""
        self._is_behind, self._read_since = True, None
        self._track.forget_missed()

    def start(self) -> None:
        self.fall_behind()
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def drain(self) -> None:
        """Write what has come by now."""
        while self._transport.receive(self._track.write, WAITING):
            pass

    def _read(self) -> None:
        prepare_sessions()
        while not self._stopping.is_set():
            try:
                self._read_some()
            except Error as error:
                # Sooner than keepers rescue after an outage, which wait for two beats:
                # the leases of workers are in their replies.
                most = min(MAX_PAUSE, conf.current().lease / BEATS)
                self._wait("Database trouble", error, most)
                drop(self._track.alias)
            except Exception as error:  # of whatever library the engine has
                self._wait("Replies cannot be read", error, LONGEST_PAUSE)
            self._stopping.wait(self._pause)
        drop(self._track.alias)

    def _read_some(self) -> None:
        count = self._transport.receive(self._track.write, WAITING)
        self._pause = 0.0
        self._read_since = self._read_since or time.monotonic()
        if not count:
            self._is_behind = False

    def _wait(self, what: str, error: Exception, most: float) -> None:
        self.fall_behind()
        self._pause = min(most, self._pause * 2 or 0.2)
        queue, said = self.engine.queue, str(error).strip() or repr(error)
        words = "%s queue=%s, trying again in %.1f s: %s"
        logger.warning(words, what, queue, self._pause, said)
