"""The thread of a relay that reads what an engine's workers reply."""

import logging
import threading

from django.db import Error

from dbqueue.relay.tracks.result import ResultTrack
from dbqueue.relay.transports import Transport
from dbqueue.worker.process.connections import drop, prepare_sessions

logger = logging.getLogger(__name__)

WAITING = 1.0  # seconds that it waits for replies at a time
LONGEST_PAUSE = 30.0  # seconds between two attempts to reach the engine


class Reader:
    """Has replies written, and takes them from the engine once they are."""

    def __init__(self, track: ResultTrack, transport: Transport) -> None:
        self._track, self._transport = track, transport
        self._stopping = threading.Event()
        self._pause = 0.0
        self._thread = threading.Thread(
            target=self._read, name="dbqueue-reader", daemon=True
        )

    def start(self) -> None:
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
                self._transport.receive(self._track.write, WAITING)
                self._pause = 0.0
            except Error as error:
                self._wait("Database trouble", error)
                drop(self._track.alias)
            except Exception as error:  # of whatever library the engine has
                self._wait("Replies cannot be read", error)
            self._stopping.wait(self._pause)
        drop(self._track.alias)

    def _wait(self, what: str, error: Exception) -> None:
        self._pause = min(LONGEST_PAUSE, self._pause * 2 or 0.2)
        queue = self._track.engine.queue
        words = "%s queue=%s, trying again in %.1f s: %s"
        logger.warning(words, what, queue, self._pause, str(error).strip())
