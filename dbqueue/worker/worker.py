"""The loop of one child: settle what ended, claim what fits, hand it to the pools."""

import logging
import time
from uuid import UUID

from django.db import Error

from dbqueue import conf, dialects, maintenance
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.worker import memory
from dbqueue.worker.bell import Bell
from dbqueue.worker.board import Board
from dbqueue.worker.connections import IDLING, drop, prepare_sessions
from dbqueue.worker.crew import Crew
from dbqueue.worker.ears import Ears
from dbqueue.worker.executor import Executor
from dbqueue.worker.intake import Intake
from dbqueue.worker.ledger import Ledger
from dbqueue.worker.options import WorkerOptions
from dbqueue.worker.records import untouched
from dbqueue.worker.rhythm import Rhythm
from dbqueue.worker.slots import Farewell, Slot, SlotState
from dbqueue.worker.watchdog import Watchdog

logger = logging.getLogger(__name__)

# Share of the lease after which a child no longer trusts a heartbeat: it must be gone
# before anybody else may take its jobs.
TRUST = 0.8
# Seconds a claimed job may wait for a thread before others may have it.
HOLD = 0.5
# Seconds between two progress notes of a job in the database.
PROGRESS_INTERVAL = 0.5
# Seconds a stopping child tries to record what ended; it is killed after five.
LAST_FLUSH = 3.0
_MAX_SLEEP = 1.0


class Worker:
    """Claims and runs jobs until it is stopped. Needs a slot that a keeper looks after.

    It installs no signal handlers and exits nothing: `run()` returns why it ended.
    """

    def __init__(
        self,
        options: WorkerOptions,
        slot: Slot,
        *,
        pokes: Bell | None = None,
        lifeline: int | None = None,
    ) -> None:
        self._options = options
        self._slot = slot
        self._dialect = dialects.of(options.database)
        self._bell = Bell()
        self._ears = Ears(self._bell, pokes, lifeline)
        self._scan = options.scan()
        self._id: UUID = slot.worker_id
        self._ledger = Ledger(self._dialect, self._id, self._bell)
        self._executor = Executor(
            self._dialect.alias,
            self._id,
            self._settle_at_once,
            options.sender,
            self._ledger.note_progress,
        )
        self._board = Board(slot, options.threads + options.async_concurrency)
        self._crew = Crew(
            options.threads,
            options.async_concurrency,
            self._executor,
            self._board,
            self._ledger.done,
        )
        self._intake = Intake(self._ledger, self._crew, self._board, self._executor)
        self._stopping = False
        self._stop_at = float("inf")
        self._recycling = False
        self._at_once = False
        self._drained = False
        self._watchdog = Watchdog(options.database)
        self._rhythm = Rhythm(self._dialect, slot)
        self._waiting_since = 0.0
        self._notes_at = 0.0

    def stop(self, *, now: bool = False) -> None:
        """Take no new work and end within the grace period, or at once with `now`.

        May be called from a signal handler or another thread, and more than once.
        """
        if not self._stopping:
            self._stop_at = time.monotonic() + self._options.grace
        if now:
            self._stop_at = 0.0
        self._stopping = True
        self._bell.ring()

    def run(self) -> Farewell:
        """Work until stopped, drained or in need of replacement."""
        prepare_sessions()
        reason = self._leave_before_start()
        while reason is None:
            self._take_care_of_running()
            if not self._rhythm.paused:
                self._work()
            reason = self._reason_to_leave()
            if reason is None:
                self._sleep()
        if reason is not Farewell.ABANDONED:
            self._hand_back()
        self._crew.close()
        return reason

    # One round

    def _work(self) -> None:
        self._crew.appetite.learn(self._ledger.collect())
        limit, began = self._limit(), time.monotonic()
        try:
            with self._watchdog.during():
                self._flush_notes()
                jobs = self._exchange(limit)
            if limit:
                self._take(jobs, limit, began)
        except Error as error:
            self._back_off(error)
        else:
            self._rhythm.recovered()

    def _flush_notes(self) -> None:
        # Before the finish, or the last would be lost.
        due = time.monotonic() >= self._notes_at or self._ledger.has_outcomes()
        if self._ledger.has_notes() and due:
            self._ledger.flush_notes()
            self._notes_at = time.monotonic() + PROGRESS_INTERVAL

    def _exchange(self, limit: int) -> list[ClaimedJob]:
        if self._rhythm.in_trouble:
            self._ledger.reconcile()
        if limit:
            return self._ledger.exchange(self._scan, limit)
        if self._ledger.has_outcomes():
            self._ledger.flush()
        return []

    def _take(self, jobs: list[ClaimedJob], limit: int, began: float) -> None:
        self._intake.take(jobs)
        if self._rhythm.looked(began, more=len(jobs) == limit):
            self._finish_draining(jobs)
        if jobs:
            self._waiting_since = time.monotonic()

    def _settle_at_once(self, outcome: Outcome) -> bool:
        # On the job's own connection: should that fall silent now, its transaction
        # would keep the row locked for as long as the server believes in it.
        self._dialect.limit_idling(IDLING, local=True)
        return bool(self._dialect.settle(self._id, [outcome]))

    def _limit(self) -> int:
        """Return how many jobs to claim now."""
        due = time.monotonic() >= self._rhythm.look_at or self._ledger.has_outcomes()
        return self._room() if due else 0

    def _room(self) -> int:
        """Return how many jobs could be claimed, were it time to look."""
        if self._stopping or self._recycling:
            return 0
        room = min(self._crew.room(), self._ledger.portion.size)
        if self._options.max_jobs is not None:
            taken = self._ledger.finished + len(self._ledger.in_flight)
            room = min(room, self._options.max_jobs - taken)
        return max(0, room)

    def _finish_draining(self, jobs: list[ClaimedJob]) -> None:
        if not self._options.drain or jobs or self._ledger.in_flight:
            return
        if maintenance.promote(self._dialect.alias):
            self._rhythm.look_at = 0.0
        else:
            self._drained = True

    def _back_off(self, error: Error) -> None:
        size = self._ledger.portion.size
        if self._dialect.is_cancelled(error) and size > 1:
            logger.warning(
                "A statement took too long; now %d jobs at a time: %s",
                size,
                str(error).strip(),
            )
            return
        pause = self._rhythm.back_off()
        logger.warning(
            "Database trouble, trying again in %.1f s: %s", pause, str(error).strip()
        )
        drop(self._dialect.alias)

    # What runs

    def _take_care_of_running(self) -> None:
        for entry in self._board.interrupt_overdue():
            logger.error(
                "Job id=%s task=%s does not stop; the child is replaced",
                entry.job.id,
                entry.job.task,
            )
            outcome = maintenance.rescued(entry.job.held_by(self._id), "timeout")
            self._ledger.done(entry.job, outcome)
            self._recycling = self._at_once = True
        waited = time.monotonic() - self._waiting_since
        if waited > HOLD and self._crew.has_waiting():
            self._crew.appetite.spoil(waited)
            for job in self._crew.take_back():
                self._ledger.done(job, untouched(job))

    def _sleep(self) -> None:
        now = time.monotonic()
        moments = [now + _MAX_SLEEP, self._distrust_at()]
        if self._rhythm.paused:
            moments.append(self._rhythm.paused_until)
        else:
            if self._room():
                moments.append(self._rhythm.look_at)
            if self._ledger.has_notes():
                moments.append(self._notes_at)
        if self._crew.has_waiting():
            moments.append(self._waiting_since + HOLD)
        limit = self._board.next_limit()
        if limit is not None:
            moments.append(limit)
        busy = self._ledger.fall_asleep() and not self._rhythm.paused
        self._listen(0.0 if busy else max(0.0, min(moments) - now))
        self._ledger.wake_up()

    def _listen(self, seconds: float) -> None:
        heard = self._ears.listen(seconds)
        if heard.news:
            self._rhythm.poked()
            self._scan.expect(heard.news)
        if heard.orphaned and not self._stopping:
            logger.error("The supervisor is gone; stopping")
            self.stop()

    # The end

    def _leave_before_start(self) -> Farewell | None:
        while not self._slot.beat:
            if self._stopping or self._ears.listen(0.01).orphaned:
                return Farewell.STOPPED
        return None

    def _reason_to_leave(self) -> Farewell | None:
        now, options = time.monotonic(), self._options
        if self._slot.state is SlotState.CONDEMNED:
            return self._abandon("its lease ran out and its jobs were given away")
        if now > self._distrust_at():
            return self._abandon("no heartbeat reaches the database")
        idle = not self._ledger.in_flight
        if self._stopping:
            over = idle or now >= self._stop_at
            return Farewell.STOPPED if over else None
        if self._drained:
            return Farewell.DRAINED
        if options.max_jobs is not None and self._ledger.finished >= options.max_jobs:
            self._recycling = True
        # Before its first job it would be no smaller the next time.
        limit = options.max_rss if self._ledger.finished else None
        if limit is not None and memory.resident() > limit:
            self._recycling = True
        if self._recycling and (idle or self._at_once):
            return Farewell.RECYCLED
        return None

    def _distrust_at(self) -> float:
        """Return the moment from which the lease is in doubt, monotonic."""
        return self._slot.beat + TRUST * conf.current().lease

    def _abandon(self, why: str) -> Farewell:
        logger.error("Worker %s abandons its jobs: %s", self._id, why)
        self._slot.vacate_all()
        return Farewell.ABANDONED

    def _hand_back(self) -> None:
        """Record what ended and release the rest, which counts as no failure."""
        # All others have begun, or ended a moment ago: their reports come next.
        waiting = {job.id for job in self._crew.take_back()}
        self._ledger.collect()
        self._ledger.release_unfinished(self._ledger.in_flight.keys() - waiting)
        deadline = time.monotonic() + LAST_FLUSH
        while True:
            try:
                with self._watchdog.during():
                    return self._ledger.flush()
            except Error as error:
                if time.monotonic() > deadline:
                    logger.error("Left to the rescue of others: %s", error)
                    return None
                drop(self._dialect.alias)
                self._ears.listen(0.1)
