"""The jobs that a child holds, and the outcomes that are not in the database yet.

Nothing leaves it before the database has confirmed it.
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from uuid import UUID

from django.db import Error

from dbqueue.dialects import Dialect
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.jobs import events, outcomes, wakeup
from dbqueue.maintenance.rescue import finished_by, hidden_from, rescue
from dbqueue.worker.loop import prefetch
from dbqueue.worker.loop.backlog import Backlog
from dbqueue.worker.loop.refusals import Refusals
from dbqueue.worker.loop.tally import Tally
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.run.pool import Pool

logger = logging.getLogger(__name__)


class Completer:
    """The jobs in flight. Pools report from their threads; all else is the loop's."""

    def __init__(self, dialect: Dialect, worker_id: UUID, pipe: WakePipe) -> None:
        # The pool is None for a job that was not handed on.
        self.in_flight: dict[UUID, tuple[ClaimedJob, Pool | None]] = {}
        self.finished, self.batch = 0, prefetch.BatchSize()
        self._dialect, self._worker_id = dialect, worker_id
        self._pipe = pipe
        self.arguments = 0  # bytes of the large ones of jobs in flight
        self._backlog = Backlog()
        self.tally = Tally(dialect)
        self._refusals = Refusals(dialect, worker_id, self._job, self._confirm)
        self._asleep = self._fell = False
        # Threads only append, the loop only pops: a deque does both atomically.
        # Swapping a list under a concurrent append is how an outcome gets lost.
        self._reports: deque[tuple[ClaimedJob, Outcome | None]] = deque()
        self._outcomes: dict[UUID, Outcome] = {}

    def done(self, job: ClaimedJob, outcome: Outcome | None) -> None:
        """Report the end of a job; from any thread, which may have to wait then."""
        size = 0 if outcome is None or outcome.result is None else len(outcome.result)
        if size > prefetch.LARGE:
            self._backlog.add(size)
        self._reports.append((job, outcome))
        if self._asleep:
            self._asleep = False  # once is enough, and a system call is not cheap
            self._pipe.wake()
        if size > prefetch.LARGE:
            self._backlog.wait()

    def fall_asleep(self) -> bool:
        """Ask to be woken; return whether something is to be done already."""
        self._asleep = True
        return bool(self._reports)

    def wake_up(self) -> None:
        self._asleep = False

    def accept(self, job: ClaimedJob, pool: Pool | None) -> None:
        """Note a claimed job and the pool that will run it; None = not yet, or none."""
        if job.weight and job.id not in self.in_flight:
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
        durations, brief = list[float](), set[str]()
        while self._reports or (brief and self._are_followed(brief)):
            job, outcome = self._reports.popleft()
            held = self.in_flight.get(job.id)
            if held is None or job.id in self._outcomes:
                self._lighten(outcome)
                continue  # it was given up as stubborn before
            if (pool := held[1]) is not None:
                pool.load -= 1
            if outcome is None:
                self._forget(job.id)
                self.finished += 1
            else:
                self._outcomes[job.id] = outcome
                if outcome.duration is not None:
                    durations.append(outcome.duration)
                    if outcome.gate is not None and outcome.duration < prefetch.BRIEF:
                        brief.add(outcome.gate)
        return durations

    def _are_followed(self, gates: set[str]) -> bool:
        """Wait a moment, if others of the lanes run; tell whether any job has ended."""
        if len(self.in_flight) <= prefetch.FEW:
            prefetch.await_others(gates, (self._job(id).gate for id in self.running()))
        return bool(self._reports)

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
        except Exception as error:
            if not self._dialect.refuses(error):
                raise
            scan.more = True
            if not batch:
                return self._claim_less(scan, limit, error)
            self._refusals.record(batch)  # alone: it may have been the claim
            return []
        self._confirm(batch, recorded)
        if self._dialect.admitted:
            self._tell_admitted(None if len(claimed) >= limit else scan)
        return claimed

    def flush(self) -> None:
        """Record all outcomes, and open the gates that are due."""
        while batch := self._batch():
            try:
                with self._sized(len(batch)):
                    recorded = self._dialect.record(self._worker_id, batch)
            except Exception as error:
                if not self._dialect.refuses(error):
                    raise
                self._refusals.record(batch)
            else:
                self._confirm(batch, recorded)
        if self._dialect.owed:
            self._dialect.open_due()
        if self._dialect.admitted:
            self._tell_admitted(None)

    def _tell_admitted(self, emptied: Scan | None) -> None:
        """Wake others for what gates have let in and this child may not have claimed.

        `emptied` are the queues of which it has all.
        """
        queues, self._dialect.admitted = self._dialect.admitted, set()
        for queue in queues:
            if emptied is None or emptied.rank(queue) is None:
                wakeup.announce(self._dialect.alias, queue)

    def _claim_less(self, scan: Scan, limit: int, error: Exception) -> list[ClaimedJob]:
        """Come to terms with a claim that the database refuses: it may be one row."""
        self.reconcile()  # what was committed, and could not be read
        if limit > 1:
            self.batch.shrink(limit, time.monotonic())
            return []
        heads = scan.heads(self._dialect.queue_heads)
        claimed = self._refusals.claim(heads, error)
        self.batch.size = prefetch.MOST
        return claimed

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
        # Before a claim, which an error after it would lose.
        self.tally.write_if_due()
        return prefetch.fitting(list(islice(self._outcomes.values(), self.batch.size)))

    @contextmanager
    def _sized(self, jobs: int) -> Iterator[None]:
        try:
            yield
        except Error as error:
            # A server may fall over a statement, or end its session: once is no sign.
            fell, self._fell = self._fell, self._dialect.may_fall_over(error)
            signs = self._dialect.is_cancelled, self._dialect.is_short_of_room
            if (fell and self._fell) or any(sign(error) for sign in signs):
                self.batch.shrink(jobs, time.monotonic())
            if self.batch.size == 1 and self._outcomes:
                last = next(iter(self._outcomes))  # others go first the next time
                self._outcomes[last] = self._outcomes.pop(last)
            raise
        self._fell = False
        self.batch.recover(time.monotonic())

    def _confirm(self, batch: list[Outcome], recorded: set[UUID]) -> None:
        if len(recorded) < len(batch):
            lost = {outcome.id for outcome in batch} - recorded
            # A commit whose answer was cut off has recorded them already.
            lost -= finished_by(self._dialect.alias, self._worker_id, lost)
            for id in lost:
                logger.warning("Claim lost id=%s: its outcome changed 0 rows", id)
        back = [(o, self.in_flight[o.id][0]) for o in batch if o.state == "READY"]
        self.tally.add(batch, self.in_flight)
        for outcome in batch:
            if outcome.turned and outcome.id in recorded:
                events.ended(self._job(outcome.id), self._worker_id, outcome)
            self._forget(outcome.id)
        # One that goes back without a record had not begun.
        self.finished += len(recorded.difference(o.id for o, _ in back if not o.record))
        # Whoever waits may take them at once, and knows nothing of them.
        for queue in {
            wakeup.SCHEDULE if o.delay else job.queue_name for o, job in back
        }:
            wakeup.announce(self._dialect.alias, queue)

    def _forget(self, id: UUID) -> None:
        outcome = self._outcomes.pop(id, None)
        if self._backlog.bytes:
            self._lighten(outcome)
        if (held := self.in_flight.pop(id, None)) is not None:
            self.arguments -= held[0].weight

    def _lighten(self, outcome: Outcome | None) -> None:
        if outcome and (size := len(outcome.result or "")) > prefetch.LARGE:
            self._backlog.remove(size)

    def _job(self, id: UUID) -> ClaimedJob:
        return self.in_flight[id][0]
