"""The process that maintains the children's leases.

It heartbeats for all of them, reaps dead children and rescues their jobs, promotes due
jobs, listens, prunes, and does the duties of wings. It runs no jobs, so no job can stop
it.
"""

import logging
import random
import time
from collections.abc import Callable

from django.db import DatabaseError, Error

from dbqueue import conf, dialects
from dbqueue.dialects.listener import ANYTHING
from dbqueue.jobs import wakeup
from dbqueue.maintenance import duties, leases
from dbqueue.maintenance.duties import Duty
from dbqueue.maintenance.promote import promote
from dbqueue.maintenance.rescue import BATCH, rescue_orphans
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.parent import facts, health
from dbqueue.worker.parent.cancels import Cancels
from dbqueue.worker.parent.gates import GateKeeper
from dbqueue.worker.parent.notices import Notices
from dbqueue.worker.parent.processes import Links, exists
from dbqueue.worker.parent.pruner import Chores
from dbqueue.worker.parent.reaper import reap
from dbqueue.worker.process.connections import WAITING, drop, prepare_sessions
from dbqueue.worker.process.pipes import WakePipe, wait
from dbqueue.worker.process.watchdog import Watchdog
from dbqueue.worker.shared import ChildState, Phase

logger = logging.getLogger(__name__)

# Heartbeats in one lease: all but one of them may get lost.
BEATS_PER_LEASE = 6
QUIT = b"q"
_ALIVE = (Phase.LIVE, Phase.FROZEN, Phase.CONDEMNED)
_MAX_PAUSE = 5.0
# Seconds between looks at the schedule where no notification announces a new entry.
_SCHEDULE_INTERVAL = 0.1


class Keeper:
    """Keeps the children's leases until it is told to quit or all of them have exited.

    The supervisor writes to `links.orders` when a child changed, and QUIT to end it.
    """

    def __init__(self, options: WorkerOptions, links: Links) -> None:
        self._options, self._alias = options, options.database
        self._supervisor = links.heartbeat
        self._children = links.children
        self._notices = Notices(links.children, links.notices, options.scan())
        self._orders = links.orders
        self._dialect = dialects.of(options.database)
        self._listener = self._dialect.listener()
        self._watchdog = Watchdog(self._alias, self._listener.raw)
        self._heartbeats = Duty(conf.current().lease / BEATS_PER_LEASE, self._beat)
        self._promotion = Duty(_SCHEDULE_INTERVAL, self._promote, is_timed=True)
        self._cancels = Cancels(links, self._heartbeats.every)
        self._gates = GateKeeper(self._notices, self._listener)
        wake_all, often = self._notices.wake_all, self._heartbeats.every
        self._others = Chores(links, wake_all, often)
        ours = self._promotion, self._cancels.duty, self._gates.duty
        every = [*ours, *self._others.duties, *duties.registered()]
        self._timed = [duty for duty in every if duty.is_timed]
        self._chores = [duty for duty in every if not duty.is_timed]
        self._look_again_at = 0.0
        self._was_listening = False
        self._patience = self._some_beats()
        self._pause = 0.0
        self._quitting = False
        self._orphaned_at: float | None = None

    def run(self) -> None:
        """Keep until told to quit; never raises for a database that is down."""
        # A lock on the jobs must not hold up the heartbeats.
        prepare_sessions(waiting=min(WAITING, self._heartbeats.every))
        while not self._may_leave():
            seconds = self._pause_or(self._round)
            self._wait(seconds)
        self._pause_or(self._reap_all)
        self._listener.close()
        drop(self._alias)

    def _round(self) -> float:
        """Do what is due and return the seconds until something else is."""
        self._dialect.limit_waiting(self._heartbeats.every)
        if self._watchdog.has_new_file:
            self._watchdog.has_new_file = False
            self._register(self._live())
        # First those that there are: of a newcomer, the database may refuse the row.
        self._beat_if_due()
        self._reap()
        self._register([child for child in self._live() if not child.beat])
        for duty in self._timed:
            if duty.due_at <= time.monotonic():
                self._do_beside_heartbeats(duty)
        for duty in self._chores:
            if self._begins_at(duty) <= time.monotonic():
                self._do_beside_heartbeats(duty)
        self._listener.open()
        # What came with the answer to a statement does not wake select().
        self._read_news()
        self._show_who_listens()
        moments = [duty.due_at for duty in (self._heartbeats, *self._timed)]
        moments += map(self._begins_at, self._chores)
        return max(0.0, min(moments) - time.monotonic())

    def _begins_at(self, chore: Duty) -> float:
        return chore.begins_at(min(duty.due_at for duty in self._timed))

    def _beat_if_due(self) -> None:
        if self._heartbeats.due_at <= time.monotonic():
            self._heartbeats.do(self._alias)

    def _do_beside_heartbeats(self, duty: Duty) -> None:
        """Do one; over a slow network, all of them together may outlast a lease."""
        duty.do(self._alias)
        self._beat_if_due()

    def _register(self, children: list[ChildState]) -> None:
        for child in children:
            sent_at = time.monotonic()
            leases.register(
                self._alias,
                child.worker_id,
                pid=child.pid,
                lease=conf.current().lease,
                **facts.told(self._options),
            )
            child.beat = sent_at

    def _beat(self, alias: str) -> float | None:
        now, lease = time.monotonic(), conf.current().lease
        alive = {child.worker_id: child for child in self._live() if child.beat}
        # A supervisor that is frozen would not see its children freeze or hang: their
        # jobs are to go to other workers.
        watched = self._orphaned_at is not None or self._supervisor.age() < lease
        if alive and watched:
            condemned = leases.heartbeat(alias, alive.keys(), lease=lease)
            for worker_id, child in alive.items():
                if worker_id in condemned:
                    child.phase = Phase.CONDEMNED
                else:
                    # The moment before the statement: the lease may have begun then.
                    child.beat = now
        # At the start, and after an outage, every lease may look expired: other keepers
        # get time to renew theirs.
        some = rescue_orphans(alias, condemning=now >= self._patience)
        health.show(self._options.health_file)
        return 0.0 if some == BATCH else None  # there may be more

    def _reap(self) -> None:
        if reap(self._alias, self._children):
            self._notices.wake_all()

    def _promote(self, alias: str) -> float:
        """Promote what is due; return the seconds until the next look."""
        seen = self._dialect.next_due()
        if seen.due is not None and seen.due <= 0.0:
            queues = promote(alias)
            self._notices.wake(queues)
            for queue in queues:
                wakeup.announce(alias, queue)  # other hosts' workers, too
            seen = self._dialect.next_due()
        self._others.expect(seen)
        if seen.blocked:
            self._gates.expect()
        listening = self._listener.is_listening
        if seen.ready and listening:  # without that, the children poll
            self._notices.wake_all()
        poll = conf.current().poll_interval if listening else _SCHEDULE_INTERVAL
        since = self._promotion.began_at
        if since < self._look_again_at:
            poll = self._look_again_at - since
        return poll if seen.due is None else max(0.0, min(seen.due, poll))

    def _wait(self, seconds: float) -> None:
        # At its end of file it would be ready for ever.
        pipes: list[WakePipe | int] = [] if self._orphaned_at else [self._orders]
        news = self._listener.fileno()
        if news is not None:
            pipes.append(news)
        ready = wait(pipes, seconds)
        if news in ready:
            self._read_news()
        if self._orders in ready:
            orders = self._orders.drain()
            if not orders:  # end of file: no supervisor
                self._orphaned_at = time.monotonic()
            self._quitting = QUIT in orders

    def _read_news(self) -> None:
        queues = self._cancels.hear(self._gates.hear(self._listener.received()))
        if ANYTHING in queues:
            self._hurry(after=_SCHEDULE_INTERVAL)
            self._notices.wake_all()
        if wakeup.SCHEDULE in queues:
            self._hurry()
            # As in Worker: what was coalesced into this notification comes by then.
            self._look_again_at = time.monotonic() + wakeup.WINDOW
        self._notices.wake(queues - {wakeup.SCHEDULE, ANYTHING})

    def _show_who_listens(self) -> None:
        listening = self._listener.is_listening
        for child in self._children:
            child.is_listened_for = listening
        if listening != self._was_listening:
            # A notification may have been sent while none arrived; and the children are
            # to look as often as they now must.
            self._was_listening = listening
            self._hurry()
            self._notices.wake_all()

    def _hurry(self, *, after: float = 0.0) -> None:
        for duty in self._timed:
            duty.hurry(duty.began_at + after)

    def _pause_or(self, work: Callable[[], float | None]) -> float:
        """Do the work; if the database is down, return the seconds to wait."""
        try:
            with self._watchdog.during():
                seconds = work() or 0.0
        except Exception as error:  # whatever it is: heartbeats go on
            beat, again = self._heartbeats.every, self._pause > 0.0
            self._pause = min(_MAX_PAUSE, beat, self._pause * 2 or 0.1)
            busy = isinstance(error, DatabaseError) and self._dialect.is_busy(error)
            level = logging.DEBUG if busy and again else logging.WARNING
            unexpected = not isinstance(error, Error)
            what = str(error).strip()
            logger.log(level, "Database trouble: %s", what, exc_info=unexpected)
            self._patience = self._some_beats()
            if busy:
                # While one writer keeps all others out, no lease can be taken away. It
                # may be a job of ours: if its child gave up, it would only begin again.
                for child in self._live():
                    child.beat = time.monotonic() if child.beat else 0.0
            drop(self._alias)
            return self._pause * random.uniform(0.8, 1.2)
        self._pause = 0.0
        return seconds

    def _some_beats(self) -> float:
        return time.monotonic() + 2 * self._heartbeats.every

    def _may_leave(self) -> bool:
        if self._quitting:
            return True
        if self._orphaned_at is None:
            return False
        # The supervisor has exited; children that still finish need their lease.
        late = time.monotonic() > self._orphaned_at + self._options.grace + 5.0
        return late or not any(exists(child.pid) for child in self._live())

    def _live(self) -> list[ChildState]:
        return [child for child in self._children if child.phase is Phase.LIVE]

    def _reap_all(self) -> None:
        for child in self._children:
            if child.phase in _ALIVE and not exists(child.pid):
                child.phase = Phase.DEAD
        self._reap()
