"""What a child holds, and what has ended but is not in the database yet.

Nothing leaves it before the database has confirmed it.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from django.db import DataError, IntegrityError, OperationalError

from dbqueue import maintenance, wakeup
from dbqueue.dialects import Dialect
from dbqueue.dialects.rows import ClaimedJob, Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.exceptions import InvalidPayload
from dbqueue.models import JobState
from dbqueue.worker.bell import Bell
from dbqueue.worker.pools import Pool
from dbqueue.worker.portion import Portion
from dbqueue.worker.records import ending_record, released, untouched

logger = logging.getLogger(__name__)

# What one outcome may do to the statement of a whole batch, on its way or on arrival.
REFUSALS = (DataError, IntegrityError, ArithmeticError, TypeError, ValueError)


class Flight(NamedTuple):
    job: ClaimedJob
    pool: Pool | None  # None if it was not handed on


class Ledger:
    """The jobs in flight. Pools report from their threads; all else is the loop's."""

    def __init__(self, dialect: Dialect, worker_id: UUID, bell: Bell) -> None:
        self.in_flight: dict[UUID, Flight] = {}
        self.finished = 0
        self.portion = Portion()
        self._dialect = dialect
        self._worker_id = worker_id
        self._bell = bell
        self._asleep = False
        # Threads only append, the loop only pops: a deque does both atomically.
        # Swapping a list under a concurrent append is how an outcome gets lost.
        self._reports: deque[tuple[ClaimedJob, Outcome | None]] = deque()
        self._outcomes: dict[UUID, Outcome] = {}
        self._notes: dict[UUID, tuple[int, str]] = {}

    def done(self, job: ClaimedJob, outcome: Outcome | None) -> None:
        """Report the end of a job; from any thread."""
        self._reports.append((job, outcome))
        if self._asleep:
            self._asleep = False  # once is enough, and a system call is not cheap
            self._bell.ring()

    def note_progress(self, job: ClaimedJob, text: str) -> None:
        """Report progress; from any thread."""
        self._notes[job.id] = (job.attempt, text)

    def fall_asleep(self) -> bool:
        """Ask to be rung awake; return whether something is to be done already."""
        self._asleep = True
        return bool(self._reports)

    def wake_up(self) -> None:
        self._asleep = False

    def has_notes(self) -> bool:
        return bool(self._notes)

    def take_on(self, job: ClaimedJob, pool: Pool | None) -> None:
        """Note a claimed job and the pool that will run it, if any."""
        self.in_flight[job.id] = Flight(job, pool)
        if pool is not None:
            pool.load += 1

    def collect(self) -> list[float]:
        """Take in the reports; return the seconds their jobs ran."""
        durations = []
        while self._reports:
            job, outcome = self._reports.popleft()
            flight = self.in_flight.get(job.id)
            if flight is None or job.id in self._outcomes:
                continue  # it was given up as stubborn before
            if flight.pool is not None:
                flight.pool.load -= 1
            if outcome is None:
                self._forget(job.id)
                self.finished += 1
            else:
                self._outcomes[job.id] = outcome
                if outcome.duration is not None:
                    durations.append(outcome.duration)
        return durations

    def has_outcomes(self) -> bool:
        return bool(self._outcomes)

    def unfinished(self) -> list[ClaimedJob]:
        """Return the jobs in flight that have not ended."""
        flights = self.in_flight.items()
        return [flight.job for id, flight in flights if id not in self._outcomes]

    def release_unfinished(self, begun: Collection[UUID]) -> None:
        """Give back all that has not ended; what has begun gets a record of it."""
        for job in self.unfinished():
            if job.id in begun:
                logger.warning("Job id=%s task=%s released", job.id, job.task)
                self._outcomes[job.id] = released(job, self._worker_id)
            else:
                self._outcomes[job.id] = untouched(job)

    def exchange(self, scan: Scan, limit: int) -> list[ClaimedJob]:
        """Settle a batch and claim up to `limit` jobs, in one commit."""
        batch = self._batch()
        try:
            with self._portioned(max(len(batch), limit)):
                settled, claimed = self._dialect.exchange(
                    self._worker_id, batch, scan, limit
                )
        except REFUSALS as error:
            if not batch:
                logger.error("Jobs cannot be claimed: %s", error)
            self._settle_one_by_one(batch)
            return []
        self._confirm(batch, settled)
        return claimed

    def flush(self) -> None:
        """Settle all outcomes."""
        while batch := self._batch():
            try:
                with self._portioned(len(batch)):
                    settled = self._dialect.settle(self._worker_id, batch)
                self._confirm(batch, settled)
            except REFUSALS:
                self._settle_one_by_one(batch)

    def flush_notes(self) -> None:
        """Store the latest progress of each job."""
        rows = []
        while self._notes:  # threads go on adding to it
            id, (attempt, text) = self._notes.popitem()
            rows.append((id, attempt, text))
        try:
            self._dialect.note_progress(self._worker_id, rows)
        except REFUSALS as error:
            logger.warning("Progress was dropped: %s", error)

    def reconcile(self) -> None:
        """Give back jobs that a lost answer has hidden: claimed, but never received."""
        # One that ended may be among them: given back and claimed again in one commit.
        self.flush()
        alias = self._dialect.alias
        while hidden := maintenance.held_by(
            alias, self._worker_id, excluding=self.in_flight
        ):
            if maintenance.rescue(alias, hidden, reason="released") < len(hidden):
                raise OperationalError("What a lost answer has hidden is still locked.")

    def _batch(self) -> list[Outcome]:
        return list(self._outcomes.values())[: self.portion.size]

    @contextmanager
    def _portioned(self, jobs: int) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if self._dialect.is_cancelled(error):
                self.portion.shrink(jobs, time.monotonic())
            raise
        self.portion.recover(time.monotonic())

    def _confirm(self, batch: list[Outcome], settled: set[UUID]) -> None:
        if len(settled) < len(batch):
            lost = {outcome.id for outcome in batch} - settled
            # A commit whose answer was cut off has settled them already.
            lost -= maintenance.finished_by(self._dialect.alias, self._worker_id, lost)
            for id in lost:
                logger.warning("Claim lost id=%s: its outcome changed 0 rows", id)
        for outcome in batch:
            self._forget(outcome.id)
        self.finished += sum(o.id in settled and not o.is_untouched for o in batch)
        if any(outcome.delay for outcome in batch):
            wakeup.announce(self._dialect.alias, wakeup.SCHEDULE)

    def _forget(self, id: UUID) -> None:
        self._outcomes.pop(id, None)
        self.in_flight.pop(id, None)

    def _settle_one_by_one(self, batch: list[Outcome]) -> None:
        """Find the outcome that the database refuses; the others must not suffer."""
        for outcome in batch:
            try:
                settled = self._dialect.settle(self._worker_id, [outcome])
            except REFUSALS as error:
                plain = self._refused(outcome, error)
                settled = self._dialect.settle(self._worker_id, [plain])
            self._confirm([outcome], settled)

    def _refused(self, outcome: Outcome, error: Exception) -> Outcome:
        job = self.in_flight[outcome.id].job
        logger.error(
            "Job id=%s task=%s could not be stored: %s", job.id, job.task, error
        )
        reason = InvalidPayload(f"The database refused the outcome: {error}")
        record = ending_record(job, self._worker_id, "failed", reason)
        return Outcome(
            id=job.id,
            attempt=job.attempt,
            state=JobState.FAILED,
            record=record,
            failed=1,
        )
