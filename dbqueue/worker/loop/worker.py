"""The loop of one child: record what ended, claim what fits, hand it to the pools."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from django.db import Error

from dbqueue import conf, dialects
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import events
from dbqueue.jobs.wakeup import WINDOW
from dbqueue.maintenance.gates import make_ready
from dbqueue.worker.loop import leaving
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.loop.dispatch import Dispatch
from dbqueue.worker.loop.notes import Notes
from dbqueue.worker.loop.polling import Polling
from dbqueue.worker.loop.prefetch import Prefetch
from dbqueue.worker.loop.slots import HOLD, Slots
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.process.connections import IDLING, prepare_sessions
from dbqueue.worker.process.pipes import Inbox, WakePipe
from dbqueue.worker.process.watchdog import Watchdog
from dbqueue.worker.run.deadlines import Deadlines
from dbqueue.worker.run.holder import Holder
from dbqueue.worker.run.pools import Pools
from dbqueue.worker.shared import ChildState, ExitReason, Phase

logger = logging.getLogger(__name__)

# Share of the lease after which a child no longer trusts a heartbeat: it must have
# stopped before another process may take its jobs.
TRUST = 0.8
_MAX_SLEEP = 1.0


class Worker:
    """Claims and runs jobs until it is stopped. A keeper must send its heartbeats.

    It installs no signal handlers and exits nothing: `run()` returns why it ended.
    """

    def __init__(
        self,
        options: WorkerOptions,
        child: ChildState,
        *,
        notices: WakePipe | None = None,
        parent_pipe: int | None = None,
    ) -> None:
        self._options, self._child = options, child
        self._id: UUID = child.worker_id
        self._event = events.WorkerEvent.of_this_process(
            self._id, options.name, options.described()
        )
        self._dialect = dialects.of(options.database)
        self._scan = options.shared()
        self._watchdog = Watchdog(options.database)
        self._polling = Polling(self._dialect, child)
        self._prefetch = Prefetch(options.threads)
        self._pipe = WakePipe()
        self._inbox = Inbox(self._pipe, notices, parent_pipe)
        self._completer = Completer(self._dialect, self._id, self._pipe)
        self._notes = Notes(self._dialect, self._id)
        self._set_up_running()
        self._stopping = self._stop_announced = False
        self._stop_at, self._waiting_since = float("inf"), 0.0
        self._recycling = self._at_once = self._drained = False

    def _set_up_running(self) -> None:
        options, completer = self._options, self._completer
        holder = Holder(
            worker_id=self._id,
            database=self._dialect.alias,
            sender=options.sender,
            record_now=self._record_now,
            note=self._notes.add,
        )
        sizes = options.threads, options.async_concurrency
        deadlines = self._deadlines = Deadlines(self._child, options.places)
        pools = self._pools = Pools(*sizes, holder, deadlines, completer.done)
        parts = completer, pools, self._prefetch, deadlines, holder
        unknown, watchdog = self._scan.unknown, self._watchdog
        self._dispatch = Dispatch(*parts, unknown, watchdog, drain=options.drain)
        self._slots = Slots(options, self._dispatch, self._polling)

    def _record_now(self, id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        # On the job's own connection: if it falls silent, the row stays locked so long.
        self._dialect.limit_idling(IDLING, local=True)
        return self._dialect.record(id, outcomes)

    def stop(self, *, now: bool = False) -> None:
        """Take no new work and end within the grace period, or at once with `now`.

        May be called from a signal handler or another thread, and more than once.
        """
        if not self._stopping:
            self._stop_at = time.monotonic() + self._options.grace
        if now:
            self._stop_at = 0.0
        self._stopping = True
        self._pipe.wake()

    def run(self) -> ExitReason:
        """Work until stopped, drained or in need of replacement."""
        prepare_sessions()
        reason = ExitReason.STOPPED
        if leaving.has_started(self._child, self._inbox, lambda: self._stopping):
            events.worker_ready(self._event)
            reason = self._loop()
            self._announce_stop()
        if reason is not ExitReason.ABANDONED:
            leaving.release_all(self._slots.dispatches, self._watchdog)
        self._slots.close()
        return reason

    def _loop(self) -> ExitReason:
        while True:
            if self._stopping:
                self._announce_stop()
            self._take_care_of_running()
            if not self._polling.paused:
                self._work()
            if (reason := self._reason_to_leave()) is not None:
                return reason
            self._sleep()

    def _announce_stop(self) -> None:
        # Not in stop(): a signal handler may interrupt anything.
        if not self._stop_announced:
            self._stop_announced = True
            events.worker_stopping(self._event)

    def _work(self) -> None:
        self._prefetch.learn(self._completer.collect())
        limit, began = self._limit(), time.monotonic()
        try:
            with self._watchdog.during():
                # Before the finish, or the last would be lost.
                if self._notes.latest:
                    self._notes.flush_if_due(ending=self._completer.has_outcomes())
                ended = self._completer.has_outcomes() or self._options.drain
                jobs = self._finish_and_claim(limit)
                self._slots.look(self._most(), due=ended)
            if limit:
                self._take(jobs, began)
        except Error as error:
            self._polling.endure(error, self._completer.batch.size)
        else:
            self._polling.recovered()

    def _finish_and_claim(self, limit: int) -> list[ClaimedJob]:
        self._polling.reconcile_if_due(self._completer.reconcile)
        if limit:
            return self._completer.finish_and_claim(self._scan, limit)
        self._completer.flush()
        return []

    def _take(self, jobs: list[ClaimedJob], began: float) -> None:
        before = self._completer.arguments
        self._dispatch.dispatch(jobs)
        if not self._scan.light:
            self._prefetch.weigh(len(jobs), self._completer.arguments - before)
        scan, polling = self._scan, self._polling
        if polling.looked(began, more=scan.more, owed=scan.owed):
            busy = jobs or self._completer.in_flight or scan.light
            if self._options.drain and not busy:
                self._drained = polling.found_last(make_ready(self._dialect.alias))
        if jobs:
            self._waiting_since = time.monotonic()

    def _limit(self) -> int:
        """Return how many jobs to claim now."""
        due = time.monotonic() >= self._polling.next_look
        # What ended in a commit of its own was perhaps the last job of all.
        due |= self._options.drain and not self._completer.in_flight
        return self._room() if due or self._completer.has_outcomes() else 0

    def _most(self) -> int:
        """Return how many jobs may be claimed, whatever room there is."""
        leaves = self._stopping or self._recycling or self._child.is_quiet
        if leaves or self._slots.is_exclusive():
            return 0
        most = self._completer.batch.size
        if self._options.max_jobs is not None:
            taken = self._completer.finished + len(self._completer.in_flight)
            most = min(most, self._options.max_jobs - taken)
        return max(0, most)

    def _room(self) -> int:
        """Return how many jobs could be claimed, were it time to look."""
        room = min(self._most(), self._prefetch.room(*self._pools.free()))
        if not room:
            return 0
        light = self._dispatch.is_laden()
        if self._scan.light and not light:
            self._polling.look_at = 0.0  # for what it had to leave
        self._scan.light = light
        if not light:
            room = min(room, self._prefetch.fits(self._completer.weight))
        return max(0, room)

    def _take_care_of_running(self) -> None:
        waited = time.monotonic() - self._waiting_since
        if self._slots.take_care(self._id, waited):
            self._recycling = self._at_once = True

    def _sleep(self) -> None:
        self._slots.step(leaving=self._stopping or self._recycling)
        now = time.monotonic()
        moments = [now + _MAX_SLEEP, self._distrust_at(), self._stop_at]
        if self._polling.paused:
            moments.append(self._polling.paused_until)
        else:
            polling, most = self._polling, self._most()
            moments.append(polling.next_look if self._room() else polling.next_gate)
            moments.append(self._slots.next_look if most else now + _MAX_SLEEP)
            if self._notes.latest:
                moments.append(self._notes.due_at)
        if self._slots.has_waiting():
            moments.append(max(self._waiting_since + HOLD, now + HOLD / 5))
        moments.append(self._deadlines.next_limit() or now + _MAX_SLEEP)
        busy = self._completer.fall_asleep() or self._completer.has_outcomes()
        if busy and not self._polling.paused:
            moments.append(now)
        self._wait(max(0.0, min(moments) - now))
        self._completer.wake_up()

    def _wait(self, seconds: float) -> None:
        notes = self._inbox.wait(seconds)
        if notes and (queues := self._dispatch.cancelled_out_of(notes)):
            self._scan.expect(self._polling.notified(queues))
            self._slots.hear(WINDOW)
        if self._inbox.orphaned and not self._stopping:
            logger.error("The supervisor has exited; stopping")
            self.stop()

    def _reason_to_leave(self) -> ExitReason | None:
        now, options = time.monotonic(), self._options
        if self._child.phase is Phase.CONDEMNED:
            return leaving.abandon(self._child, "its lease ran out")
        if now > self._distrust_at():
            return leaving.abandon(self._child, "no heartbeat reaches the database")
        idle = not self._completer.in_flight
        if self._stopping:
            return ExitReason.STOPPED if idle or now >= self._stop_at else None
        if self._drained:
            return ExitReason.DRAINED
        if options.max_jobs or options.max_rss:
            self._recycling |= leaving.is_worn_out(options, self._completer.finished)
        if self._recycling and (idle or self._at_once):
            return leaving.why_recycled(options, self._completer.finished)
        return None

    def _distrust_at(self) -> float:
        """Return the moment from which the lease is in doubt, monotonic."""
        return self._child.beat + TRUST * conf.current().lease
