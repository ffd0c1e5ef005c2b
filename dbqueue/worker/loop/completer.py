"""The jobs that a child holds, and the outcomes that are not in the database yet.

Nothing leaves it before the database has confirmed it.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import accumulate, islice
from uuid import UUID

from django.db import DataError, IntegrityError, OperationalError

from dbqueue.dialects import Dialect
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.exceptions import InvalidPayload
from dbqueue.jobs import events, outcomes, wakeup
from dbqueue.maintenance.rescue import finished_by, hidden_from, rescue
from dbqueue.worker.loop.backlog import Backlog
from dbqueue.worker.loop.prefetch import MOST_RECORDED, BatchSize
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.run.holder import ProgressNotes
from dbqueue.worker.run.pool import Pool

logger = logging.getLogger(__name__)

# What one outcome may do to the statement of a whole batch, on its way or on arrival.
UNSTORABLE = (DataError, IntegrityError, ArithmeticError, TypeError, ValueError)
# Seconds between two progress notes of a job in the database.
PROGRESS_INTERVAL = 0.5
LARGE = 8192  # characters of a result


class Completer:
    """The jobs in flight. Pools report from their threads; all else is the loop's."""

    def __init__(self, dialect: Dialect, worker_id: UUID, pipe: WakePipe) -> None:
        # The pool is None for a job that was not handed on.
        self.in_flight: dict[UUID, tuple[ClaimedJob, Pool | None]] = {}
        self.finished = 0
        self.notes_at = 0.0  # monotonic: when progress is stored next
        self.batch = BatchSize()
        self._dialect = dialect
        self._worker_id = worker_id
        self._pipe = pipe
        self.arguments = 0  # bytes of the large ones of jobs in flight
        self._backlog = Backlog()
        self._asleep = False
        # Threads only append, the loop only pops: a deque does both atomically.
        # Swapping a list under a concurrent append is how an outcome gets lost.
        self._reports: deque[tuple[ClaimedJob, Outcome | None]] = deque()
        self._outcomes: dict[UUID, Outcome] = {}
        self._notes: dict[UUID, tuple[int, str]] = {}

    def done(self, job: ClaimedJob, outcome: Outcome | None) -> None:
        """Report the end of a job; from any thread, which may have to wait then."""
        size = 0 if outcome is None or outcome.result is None else len(outcome.result)
        if size > LARGE:
            self._backlog.add(size)
        self._reports.append((job, outcome))
        if self._asleep:
            self._asleep = False  # once is enough, and a system call is not cheap
            self._pipe.wake()
        if size > LARGE:
            self._backlog.wait()

    def note_progress(self, worker_id: UUID, notes: ProgressNotes) -> None:
        """Report progress, as a Dialect would store it; from any thread."""
        for id, attempt, text in notes:
            self._notes[id] = (attempt, text)

    def fall_asleep(self) -> bool:
        """Ask to be woken; return whether something is to be done already."""
        self._asleep = True
        return bool(self._reports)

    def wake_up(self) -> None:
        self._asleep = False

    def has_notes(self) -> bool:
        return bool(self._notes)

    def accept(self, job: ClaimedJob, pool: Pool | None) -> None:
        """Note a claimed job and the pool that will run it; None = not yet, or none."""
        if job.id not in self.in_flight:
            self.arguments += job.weight
        self.in_flight[job.id] = job, pool
        if pool is not None:
            pool.load += 1

    def running(self) -> set[UUID]:
        """Return the jobs that a pool has. It looks at each."""
        jobs = self.in_flight.items()
        return {id for id, (_, pool) in jobs if pool and id not in self._outcomes}

    def collect(self) -> list[float]:
        """Take in the reports; return the seconds their jobs ran."""
        durations = []
        while self._reports:
            job, outcome = self._reports.popleft()
            if job.id not in self.in_flight or job.id in self._outcomes:
                self._lighten(outcome)
                continue  # it was given up as stubborn before
            _, pool = self.in_flight[job.id]
            if pool is not None:
                pool.load -= 1
            if outcome is None:
                self._forget(job.id)
                self.finished += 1
            else:
                self._outcomes[job.id] = outcome
                if outcome.duration is not None:
                    durations.append(outcome.duration)
        return durations

    @property
    def weight(self) -> int:
        """The bytes of large arguments and results that are held."""
        return self.arguments + self._backlog.bytes

    def has_outcomes(self) -> bool:
        return bool(self._outcomes)

    def release_unfinished(self, begun: Collection[UUID]) -> None:
        """Release all that has not ended; what has begun gets a record of it."""
        for id, (job, _) in self.in_flight.items():
            if id in self._outcomes:
                continue
            if id in begun:
                outcome = outcomes.released(job, self._worker_id)
                events.released(job, self._worker_id, outcome)
            else:
                outcome = outcomes.untouched(job)
            self._outcomes[id] = outcome

    def finish_and_claim(self, scan: Scan, limit: int) -> list[ClaimedJob]:
        """Record a batch and claim up to `limit` jobs, in one commit."""
        batch = self._batch()
        try:
            with self._sized(max(len(batch), limit)):
                recorded, claimed = self._dialect.finish_and_claim(
                    self._worker_id, batch, scan, limit
                )
        except UNSTORABLE as error:
            if not batch:
                logger.error("Jobs cannot be claimed: %s", error)
            self._record_one_by_one(batch)
            return []
        self._confirm(batch, recorded)
        return claimed

    def flush(self) -> None:
        """Record all outcomes."""
        while batch := self._batch():
            try:
                with self._sized(len(batch)):
                    recorded = self._dialect.record(self._worker_id, batch)
                self._confirm(batch, recorded)
            except UNSTORABLE:
                self._record_one_by_one(batch)

    def flush_notes_if_due(self) -> None:
        """Store the progress of jobs if they end now, or after PROGRESS_INTERVAL."""
        if self._notes and (self._outcomes or time.monotonic() >= self.notes_at):
            self.flush_notes()
            self.notes_at = time.monotonic() + PROGRESS_INTERVAL

    def flush_notes(self) -> None:
        """Store the latest progress of each job."""
        rows = []
        while self._notes:  # threads go on adding to it
            id, note = self._notes.popitem()
            rows.append((id, *note))
        try:
            self._dialect.note_progress(self._worker_id, rows)
        except UNSTORABLE as error:
            logger.warning("Progress was dropped: %s", error)

    def reconcile(self) -> None:
        """Release jobs that a lost answer has hidden: claimed, but never received.

        One whose row is locked is left for the next time.
        """
        # One that ended may be among them: released and claimed again in one commit.
        self.flush()
        alias, released = self._dialect.alias, None
        known = {id: job.attempt for id, (job, _) in self.in_flight.items()}
        while released != 0 and (hidden := hidden_from(alias, self._worker_id, known)):
            released = rescue(alias, hidden, reason="released")

    def _batch(self) -> list[Outcome]:
        """Return the next outcomes: one, or no more bytes than one commit bears."""
        batch = list(islice(self._outcomes.values(), self.batch.size))
        # A record has a traceback, and is about as long as a result that is not large.
        sizes = [len(o.result or "") + (LARGE if o.record else 0) for o in batch]
        if sum(sizes) > MOST_RECORDED:
            fit = sum(end <= MOST_RECORDED for end in accumulate(sizes))
            return batch[: max(1, fit)]
        return batch

    @contextmanager
    def _sized(self, jobs: int) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if self._dialect.is_cancelled(error):
                self.batch.shrink(jobs, time.monotonic())
            raise
        self.batch.recover(time.monotonic())

    def _confirm(self, batch: list[Outcome], recorded: set[UUID]) -> None:
        if len(recorded) < len(batch):
            lost = {outcome.id for outcome in batch} - recorded
            # A commit whose answer was cut off has recorded them already.
            lost -= finished_by(self._dialect.alias, self._worker_id, lost)
            for id in lost:
                logger.warning("Claim lost id=%s: its outcome changed 0 rows", id)
        back = [(o, self.in_flight[o.id][0]) for o in batch if o.state == "READY"]
        for outcome in batch:
            self._forget(outcome.id)
        # One that goes back without a record had not begun.
        self.finished += len(recorded.difference(o.id for o, _ in back if not o.record))
        # Whoever waits may take them at once, and knows nothing of them.
        for queue in {
            wakeup.SCHEDULE if o.delay else job.queue_name for o, job in back
        }:
            wakeup.announce(self._dialect.alias, queue)

    def _forget(self, id: UUID) -> None:
        self._lighten(self._outcomes.pop(id, None))
        if (held := self.in_flight.pop(id, None)) is not None:
            self.arguments -= held[0].weight

    def _lighten(self, outcome: Outcome | None) -> None:
        if outcome is not None and outcome.result and len(outcome.result) > LARGE:
            self._backlog.remove(len(outcome.result))

    def _record_one_by_one(self, batch: list[Outcome]) -> None:
        """Find the outcome that the database refuses, and record the others."""
        for outcome in batch:
            try:
                recorded = self._dialect.record(self._worker_id, [outcome])
            except UNSTORABLE as error:
                plain = self._refused(outcome, error)
                recorded = self._dialect.record(self._worker_id, [plain])
            self._confirm([outcome], recorded)

    def _refused(self, outcome: Outcome, error: Exception) -> Outcome:
        job, _ = self.in_flight[outcome.id]
        reason = InvalidPayload(f"The database refused the outcome: {error}")
        refused = outcomes.refused(job, self._worker_id, reason)
        before = outcome.state
        events.refused(job, self._worker_id, refused, reason, announced=before)
        return refused
