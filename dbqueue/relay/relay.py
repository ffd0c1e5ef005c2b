"""The process of `runrelay`: it publishes, and does what a keeper does beside."""

import itertools
import logging
import random
import signal
import socket
import time
from collections.abc import Sequence
from os import getpid
from uuid import UUID

from django.db import Error

from dbqueue import conf, dialects
from dbqueue.dialects.scan import Scan
from dbqueue.ids import uuid7
from dbqueue.jobs import wakeup
from dbqueue.maintenance import duties, leases, parking
from dbqueue.maintenance.duties import Duty
from dbqueue.maintenance.expire import INTERVAL as EXPIRY_INTERVAL
from dbqueue.maintenance.expire import expire
from dbqueue.maintenance.gates import make_ready
from dbqueue.maintenance.rescue import rescue_orphans
from dbqueue.relay.dispatching import Dispatcher, reason
from dbqueue.relay.engines import Engine
from dbqueue.relay.exceptions import EngineUnavailable
from dbqueue.relay.orders import Orders
from dbqueue.relay.tracks.hearing import Hearing
from dbqueue.relay.tracks.reader import Reader
from dbqueue.worker.parent.pruner import INTERVAL as PRUNING_INTERVAL
from dbqueue.worker.parent.pruner import Pruner, forget
from dbqueue.worker.process.connections import drop, prepare_sessions
from dbqueue.worker.process.pipes import WakePipe, wait

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 6
MAX_PAUSE = 5.0  # seconds between two attempts to reach the database
# Seconds between looks at the queues where no notification announces jobs.
INTERVAL = 0.2


class Relay:
    """Publishes the jobs of engines, all in one database, until it is stopped."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._alias = engines[0].database
        self._queues = Scan([[engine.queue for engine in engines]]).described()
        self._dialect = dialects.of(self._alias)
        self._dispatchers = [Dispatcher(engine) for engine in engines]
        self._hearing = Hearing(self._alias, self._readers())
        self._listener = self._dialect.listener()
        self._pipe = WakePipe()
        self._id: UUID | None = None
        self._stopping = False
        self._orders = Orders(self.stop)
        self._pause = self._look_again_at = 0.0
        self._beat_every = beat = conf.current().lease / BEATS_PER_LEASE
        self._timed = Duty(1.0, self._make_ready, is_timed=True)
        self._rescue = Duty(beat, self._keep)
        self._put_off_rescue()
        self._heartbeat = Duty(beat, self._beat)
        self._duties = [
            Duty(beat, self._obey),
            self._timed,
            self._rescue,
            Duty(EXPIRY_INTERVAL, expire),
            Duty(parking.INTERVAL, parking.sweep),
            Duty(PRUNING_INTERVAL, Pruner().prune),
            Duty(PRUNING_INTERVAL, forget),
            *duties.registered(),
        ]

    def stop(self) -> None:
        """End after what is under way; may be called from a signal handler."""
        self._stopping = True
        self._pipe.wake()

    def quiet(self) -> None:
        """Publish nothing more until told otherwise; may be called likewise."""
        self._orders.is_quiet = True

    def run(self) -> None:
        """Relay until stopped; a database that is down is waited for."""
        prepare_sessions()
        for reader in self._readers():
            reader.start()
        while not self._stopping:
            more = self._try_round()
            if not (more or self._stopping):
                self._wait()
        self._leave()

    def drain(self) -> None:
        """Write what was replied, publish what is ready now, and end.

        Raises EngineUnavailable if an engine was away, after the others were served.
        """
        away = self._read_replies()
        make_ready(self._alias)
        reached = [d for d in self._dispatchers if d not in away]
        while any([d.step() for d in reached]):  # noqa: C419  all of them
            pass
        for dispatcher in self._dispatchers:
            dispatcher.close()
        away |= {d: d.trouble for d in reached if d.trouble is not None}
        if away:
            raise EngineUnavailable(
                "\n".join(itertools.starmap(_unavailable, away.items()))
            )

    def _read_replies(self) -> dict[Dispatcher, Exception]:
        """Write what was replied; return the engines that were away, and why."""
        away: dict[Dispatcher, Exception] = {}
        for dispatcher in self._dispatchers:
            try:
                if dispatcher.reader is not None:
                    dispatcher.reader.drain()
            except Error:
                raise
            except Exception as error:  # of whatever library the engine has
                away[dispatcher] = error
        return away

    def _readers(self) -> list[Reader]:
        return [d.reader for d in self._dispatchers if d.reader is not None]

    def _try_round(self) -> bool:
        try:
            more = self._round()
        except Exception as error:  # whatever it is: the next round may do it
            self._pause = min(MAX_PAUSE, self._pause * 2 or 0.1)
            if isinstance(error, Error):
                logger.warning("Database trouble: %s", str(error).strip())
            else:
                logger.exception(
                    "The relay's round failed, trying again in %.1f s", self._pause
                )
            self._put_off_rescue()
            drop(self._alias)
            return False
        self._pause = 0.0
        return more

    def _round(self) -> bool:
        for duty in self._duties:
            # Over a slow network, all of them together may outlast a lease.
            for due in (self._heartbeat, duty):
                if due.due_at <= time.monotonic():
                    due.do(self._alias)
        self._listener.open()
        publishing = not (self._orders.is_quiet or self._stopping)
        more, errors = False, []
        for dispatcher in self._dispatchers:
            try:
                more |= dispatcher.step(publishing=publishing)
            except Exception as error:  # whatever it is: the others have their turn
                errors.append(error)
        if errors:
            raise errors[0]
        return more

    def _beat(self, alias: str) -> None:
        """Be a worker of the queues, as others see it, that runs nothing itself."""
        lease = conf.current().lease
        if self._id is None or leases.heartbeat(alias, [self._id], lease=lease):
            self._id = self._register(alias, lease)
        self._hearing.keep(self._id)

    def _register(self, alias: str, lease: float) -> UUID:
        id, host = uuid7(), socket.gethostname()
        leases.register(
            alias,
            id,
            name=f"relay {host}:{getpid()}",
            host=host,
            pid=getpid(),
            queues=self._queues,
            lease=lease,
            facts={"kind": "relay"},
        )
        for dispatcher in self._dispatchers:
            dispatcher.track.worker_id = id
        return id

    def _obey(self, alias: str) -> None:
        if self._id is not None:
            self._orders.obey(alias, self._id)

    def _make_ready(self, alias: str) -> float:
        for queue in make_ready(alias):
            wakeup.announce(alias, queue)
        due = self._dialect.next_due().due
        return 1.0 if due is None else max(0.0, min(due, 1.0))

    def _keep(self, alias: str) -> None:
        rescue_orphans(alias, condemning=True)

    def _put_off_rescue(self) -> None:
        # After an outage every lease may look expired: others get time to renew theirs.
        self._rescue.due_at = time.monotonic() + 2 * self._beat_every

    def _wait(self) -> None:
        now = time.monotonic()
        poll = INTERVAL
        if self._listener.is_listening:
            poll = conf.current().poll_interval * random.uniform(0.9, 1.1)
        due = [duty.due_at for duty in (self._heartbeat, *self._duties)]
        moments = [*due, now + poll]
        if self._look_again_at > now:
            moments.append(self._look_again_at)
        seconds = max(self._pause, min(moments) - now, 0.0)
        pipes: list[WakePipe | int] = [self._pipe]
        if (news := self._listener.fileno()) is not None:
            pipes.append(news)
        wait(pipes, seconds)
        self._pipe.drain()
        if self._listener.received():
            self._timed.hurry()
            # What was coalesced into this notification comes by then.
            self._look_again_at = time.monotonic() + wakeup.WINDOW

    def _leave(self) -> None:
        for dispatcher in self._dispatchers:
            dispatcher.close()
        try:
            if self._id is not None:
                leases.retire(self._alias, self._id)
        except Error as error:
            logger.warning("Database trouble: %s", str(error).strip())
        self._listener.close()
        drop(self._alias)


def _unavailable(dispatcher: Dispatcher, error: Exception) -> str:
    return (
        f"The engine of the queue {dispatcher.engine.queue!r} cannot be reached: "
        f"{reason(error)}. Its jobs wait: run this again once it can."
    )


def run_until_signal(relay: Relay) -> None:
    """Run the relay until SIGTERM or SIGINT; SIGUSR2 makes it quiet."""
    signal.signal(signal.SIGUSR2, lambda *_: relay.quiet())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop())
    relay.run()
