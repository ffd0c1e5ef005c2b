"""The process beside the children that speaks for them to the database.

It heartbeats for all of them, buries the dead and rescues what they held, promotes due
jobs, listens for notifications, and prunes. It runs no jobs, so no job can stop it.
"""

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from django.db import DatabaseError, Error

from dbqueue import chores, conf, dialects, maintenance, wakeup
from dbqueue.dialects.listener import ANYTHING, Silence
from dbqueue.worker.bell import Bell, wait
from dbqueue.worker.burial import bury
from dbqueue.worker.connections import drop, prepare_sessions
from dbqueue.worker.ears import END
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.pruning import Pruner
from dbqueue.worker.slots import Pulse, Slot, SlotState
from dbqueue.worker.watchdog import Watchdog

logger = logging.getLogger(__name__)

# Heartbeats in one lease: so many may get lost.
BEATS_PER_LEASE = 6
QUIT = b"q"
_ALIVE = (SlotState.LIVE, SlotState.FROZEN, SlotState.CONDEMNED)
_MAX_PAUSE = 5.0
# Seconds between looks at the schedule where no notification tells of a new entry.
_SCHEDULE_INTERVAL = 0.1


class Keeper:
    """Looks after the slots until it is told to quit or everybody is gone.

    `orders` is rung by the supervisor when a slot changed; QUIT on it ends the keeper.
    `pokes` are the bells of the slots' children, in the same order. `pulse` is the
    supervisor's.
    """

    def __init__(
        self,
        options: WorkerOptions,
        slots: Sequence[Slot],
        pokes: Sequence[Bell],
        orders: Bell,
        pulse: Pulse,
    ) -> None:
        self._options = options
        self._pulse = pulse
        self._alias = options.database
        self._slots = slots
        self._pokes = pokes
        self._orders = orders
        self._dialect = dialects.of(options.database)
        self._listener = self._make_listener()
        self._watchdog = Watchdog(self._alias, self._listener.raw)
        self._scan = options.scan()
        self._pruner = Pruner(options.database)
        self._beat_at = self._promote_at = self._prune_at = self._chores_at = 0.0
        self._look_again_at = self._promoted_at = 0.0
        self._heard = False
        self._patience = self._some_beats()
        self._pause = 0.0
        self._quitting = False
        self._orphaned_at: float | None = None

    def _make_listener(self) -> Silence:
        settings = conf.current()
        if self._dialect.notifies and not settings.notify:
            return Silence()
        return self._dialect.listener(settings.sqlite_poll_interval)

    def run(self) -> None:
        """Keep until told to quit; never raises for a database that is away."""
        prepare_sessions()
        while not self._may_leave():
            seconds = self._pause_or(self._round)
            self._listen(seconds)
        self._pause_or(self._bury_all)
        self._listener.close()
        drop(self._alias)

    # One round

    def _round(self) -> float:
        """Do what is due and return the seconds until something else is."""
        now = time.monotonic()
        beat = conf.current().lease / BEATS_PER_LEASE
        self._dialect.limit_waiting(beat)
        self._register_newcomers()
        if now >= self._beat_at:
            self._heartbeat(now)
            self._beat_at = now + beat
        self._bury()
        if now >= self._promote_at:
            self._promote(now)
        if now >= self._prune_at:
            self._prune_at = time.monotonic() + self._pruner.prune()
        if now >= self._chores_at:
            self._chores_at = now + chores.do(self._alias)
        self._listener.open()
        # What came with the answer to a statement is no news to select().
        self._hear()
        self._tell_who_listens()
        next_at = min(self._beat_at, self._promote_at, self._prune_at, self._chores_at)
        return max(0.0, next_at - time.monotonic())

    def _register_newcomers(self) -> None:
        for slot in self._slots:
            if slot.state is SlotState.LIVE and not slot.beat:
                sent_at = time.monotonic()
                maintenance.register(
                    self._alias,
                    slot.worker_id,
                    name=self._options.name,
                    host=socket.gethostname(),
                    pid=slot.pid,
                    queues=self._options.described(),
                    lease=conf.current().lease,
                )
                slot.beat = sent_at

    def _heartbeat(self, now: float) -> None:
        lease = conf.current().lease
        alive = {
            slot.worker_id: slot
            for slot in self._slots
            if slot.state is SlotState.LIVE and slot.beat
        }
        # A supervisor that is frozen would not see its children freeze or hang: their
        # jobs are better off with others.
        watched = self._orphaned_at is not None or self._pulse.age() < lease
        if alive and watched:
            condemned = maintenance.heartbeat(self._alias, alive.keys(), lease=lease)
            for worker_id, slot in alive.items():
                if worker_id in condemned:
                    slot.state = SlotState.CONDEMNED
                else:
                    # The moment before the statement: the lease may have begun then.
                    slot.beat = now
        # At the start, and after an outage, every lease may look expired: others get
        # time to renew theirs.
        if now >= self._patience:
            maintenance.condemn(self._alias)
        maintenance.rescue_orphans(self._alias)
        self._show_health()

    def _show_health(self) -> None:
        if self._options.health_file is None:
            return
        try:
            Path(self._options.health_file).touch()
        except OSError as error:
            logger.warning("The health file cannot be touched: %s", error)

    def _bury(self) -> None:
        if bury(self._alias, self._slots):
            self._poke_all()

    def _promote(self, now: float) -> None:
        ready, due = self._dialect.outlook()
        if due is not None and due <= 0.0:
            queues = maintenance.promote(self._alias)
            self._poke(queues)
            for queue in queues:
                wakeup.announce(self._alias, queue)  # other hosts' workers, too
            ready, due = self._dialect.outlook()
        if ready and self._listener.hears:  # the children of a deaf one look themselves
            self._poke_all()
        self._promoted_at = now
        poll = _SCHEDULE_INTERVAL
        if self._listener.hears:
            poll = conf.current().poll_interval
        if now < self._look_again_at:
            poll = self._look_again_at - now
        self._promote_at = now + (poll if due is None else max(0.0, min(due, poll)))

    # Wake-ups

    def _listen(self, seconds: float) -> None:
        # At its end of file it would be ready for ever.
        ears: list[Bell | int] = [self._orders] if self._orphaned_at is None else []
        ear = self._listener.fileno()
        if ear is not None:
            ears.append(ear)
        heard = wait(ears, seconds)
        if ear in heard:
            self._hear()
        if self._orders in heard:
            orders = self._orders.silence()
            if not orders:  # end of file: no supervisor
                self._orphaned_at = time.monotonic()
            self._quitting = QUIT in orders

    def _hear(self) -> None:
        queues = self._listener.heard()
        if ANYTHING in queues:
            soon = self._promoted_at + _SCHEDULE_INTERVAL
            self._promote_at = min(self._promote_at, soon)
            self._poke_all()
        if wakeup.SCHEDULE in queues:
            self._promote_at = 0.0
            # As in Worker: what was coalesced into this notification comes by then.
            self._look_again_at = time.monotonic() + wakeup.WINDOW
        self._poke(queues - {wakeup.SCHEDULE, ANYTHING})

    def _poke(self, queues: set[str]) -> None:
        served = [queue for queue in queues if self._scan.rank(queue) is not None]
        if served:
            self._poke_all(served[0] if len(served) == 1 else "")

    def _poke_all(self, queue: str = "") -> None:
        note = queue.encode() + END
        for slot, poke in zip(self._slots, self._pokes, strict=True):
            if slot.state is SlotState.LIVE:
                poke.ring(note)

    def _tell_who_listens(self) -> None:
        hears = self._listener.hears
        for slot in self._slots:
            slot.listening = hears
        if hears != self._heard:
            # Something may have been announced while nobody heard; and the children
            # are to look as often as they now must.
            self._heard, self._promote_at = hears, 0.0
            self._poke_all()

    # Trouble, and the end

    def _pause_or(self, work: Callable[[], float | None]) -> float:
        """Do the work; when the database is away, return how long to leave it alone."""
        try:
            with self._watchdog.during():
                seconds = work() or 0.0
        except Error as error:
            lease, again = conf.current().lease, self._pause > 0.0
            self._pause = min(
                _MAX_PAUSE, lease / BEATS_PER_LEASE, self._pause * 2 or 0.1
            )
            busy = isinstance(error, DatabaseError) and self._dialect.is_busy(error)
            level = logging.DEBUG if busy and again else logging.WARNING
            logger.log(level, "Database trouble: %s", str(error).strip())
            self._patience = self._some_beats()
            if busy:
                self._vouch()
            drop(self._alias)
            return self._pause * random.uniform(0.8, 1.2)
        self._pause = 0.0
        return seconds

    def _some_beats(self) -> float:
        return time.monotonic() + 2 * conf.current().lease / BEATS_PER_LEASE

    def _vouch(self) -> None:
        # While one writer keeps all others out, nobody can take a lease away. It may be
        # a job of ours: if its child gave up for that, it would only begin again.
        for slot in self._live():
            if slot.beat:
                slot.beat = time.monotonic()

    def _may_leave(self) -> bool:
        if self._quitting:
            return True
        if self._orphaned_at is None:
            return False
        # The supervisor is gone; children that still finish need their lease.
        late = time.monotonic() > self._orphaned_at + self._options.grace + 5.0
        return late or not any(_exists(slot.pid) for slot in self._live())

    def _live(self) -> list[Slot]:
        return [slot for slot in self._slots if slot.state is SlotState.LIVE]

    def _bury_all(self) -> None:
        for slot in self._slots:
            if slot.state in _ALIVE and not _exists(slot.pid):
                slot.state = SlotState.DEAD
        self._bury()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
