"""What all databases have in common: the shape of each move, and how moves combine.

A dialect speaks raw SQL through Django's connection and knows no model. The ORM cannot
say SKIP LOCKED inside an UPDATE … RETURNING, nor move rows between two tables.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar
from uuid import UUID

from django.db import DatabaseError, Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now

from dbqueue import conf
from dbqueue.dialects import hooks, loading, rows
from dbqueue.dialects.bounds import BoundedMoves, bounded
from dbqueue.dialects.columns import BY_AGE, BY_PRIORITY, ClaimedJob, NewJob
from dbqueue.dialects.driver import Driver
from dbqueue.dialects.gates import Gates
from dbqueue.dialects.listener import NullListener
from dbqueue.dialects.moves import OutsideMoves
from dbqueue.dialects.rare import RareMoves
from dbqueue.dialects.scan import Scan
from dbqueue.dialects.session import Session
from dbqueue.dialects.shown import Shown

_Ends = Sequence[rows.Outcome]


class Dialect(RareMoves, OutsideMoves, BoundedMoves, Gates, Shown, Driver):
    """The moves of a job on one database alias. Each is one guarded statement."""

    # What Django calls the database; a wing's own statements stand under this name.
    name: ClassVar[str]
    # Whether the database is behind a connection that may go silent.
    is_remote: ClassVar[bool] = False
    # Whether a claim goes on from where the last one ended (see Scan).
    low_water: ClassVar[bool] = False
    # Notes what is done to a session of this database.
    session: ClassVar[type[Session]] = Session
    # Values in one statement; SQLite allows 32,766.
    max_values: ClassVar[int] = 10_000

    def __init__(self, alias: str) -> None:
        super().__init__()
        self.alias = alias

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    def insert(self, job: NewJob, *, once: bool = False) -> rows.Written | None:
        """Insert the job; with `once`, return None if its id is taken."""
        raise NotImplementedError

    def insert_many(self, job: NewJob, calls: rows.Calls) -> rows.Written:
        """Insert a job like this one for each call, in one statement."""
        raise NotImplementedError

    def take(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        """Claim up to `limit` ready jobs from the targets, for a worker with a row."""
        raise NotImplementedError

    def finish(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        """Move jobs that ended to the history; return the ids still held."""
        raise NotImplementedError

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        """Store (id, attempt, JSON) of running jobs this worker still holds."""
        raise NotImplementedError

    def promote(self, limit: int) -> set[str]:
        """Make up to `limit` due jobs ready; return their queues.

        Those with a lane are for its gate, which is owed then.
        """
        raise NotImplementedError

    def queue_heads(self, unknown: Sequence[str] = ()) -> list[rows.QueueHead]:
        """Return the first ready job of each queue that is of no `unknown` task."""
        raise NotImplementedError

    def queue_counts(self, most: int) -> list[rows.QueueCount]:
        """Count the jobs in the queues, up to `most` of each kind."""
        raise NotImplementedError

    def clock(self) -> Any:
        """Return the database's present moment, for the ORM."""
        return Now()

    @property
    def can_notify(self) -> bool:
        """Whether notify() reaches workers."""
        return False

    def notify(self, queues: Iterable[str]) -> None:
        """Tell workers that the queues have work; a hint, allowed to be lost."""

    def listener(self) -> NullListener:
        """Return what receives news of work, from whichever process and host."""
        return NullListener()

    def poll_interval(self) -> float:
        """Return the seconds between looks of a worker that no listener wakes."""
        raise NotImplementedError

    def execute_raw(self, sql: str, params: Sequence[Any]) -> None:
        """Execute a statement that writes raw bytes, without a copy of them in text."""
        raise NotImplementedError

    def ask(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement of a wing returns."""
        return self._rows(sql, params)

    def one_commit(self) -> AbstractContextManager[Any]:
        """Return a block whose statements commit together, a writer from its start."""
        raise NotImplementedError

    def limit_waiting(self, seconds: float) -> None:
        """Let this thread's connection not wait longer than this for another writer."""

    def limit_idling(self, seconds: float, *, local: bool = False) -> None:
        """End the session if it idles longer in a transaction; `local`: in this one."""

    def prepare_session(
        self, *, idling: float, waiting: float, answering: float
    ) -> None:
        """Set up this thread's new session for a worker's loop, if it is ours alone.

        A transaction may idle for `idling` seconds; a statement may wait for a lock for
        `waiting` seconds, and take `answering` seconds. Plans go by the indexes, and
        the server keeps them.
        """

    def is_missing_table(self, error: DatabaseError) -> bool:
        """Tell whether the error says that the tables are not there."""
        raise NotImplementedError

    def is_busy(self, error: DatabaseError) -> bool:
        """Tell whether a writer on this host keeps everybody else out."""
        return False

    def is_cancelled(self, error: Error) -> bool:
        """Tell whether the server cancelled the statement, as for its time limit."""
        return False

    def is_short_of_room(self, error: Error) -> bool:
        """Tell whether a disk is full, and a smaller statement may need none of it."""
        return False

    def is_serialization_failure(self, error: Error) -> bool:
        """Tell whether the server asks for the same transaction once more."""
        return False

    def claim(self, scan: Scan, worker_id: UUID, limit: int) -> list[ClaimedJob]:
        """Claim up to `limit` jobs, returned in the order of the scan."""
        jobs: list[ClaimedJob] = []
        scan.begin()
        expected = scan.expected()
        targets = expected or (scan.marked() if self.low_water else [])
        if targets:
            jobs = self._take_in_order(targets, worker_id, limit)
        # What was expected and has come may begin; its end brings the next look.
        if len(jobs) < limit and not (expected and jobs):
            targets = scan.fresh(self.queue_heads)
            if targets:
                jobs += self._take_in_order(targets, worker_id, limit - len(jobs))
        whole = loading.loaded(self, worker_id, jobs)
        scan.took(whole, exhausted=len(jobs) < limit)
        scan.owed, self.contended = self.contended, False
        return whole

    def record(self, worker_id: UUID, outcomes: Sequence[rows.Outcome]) -> set[UUID]:
        """Record how attempts ended; return the ids whose fence still held."""
        kinds = {(outcome.state == "READY", outcome.gate) for outcome in outcomes}
        if len(kinds) == 1 and (*kinds,)[0][1] is None and not hooks.after_record:
            return self._record(worker_id, outcomes)
        with self.one_commit():
            return self._record(worker_id, outcomes)

    def finish_and_claim(
        self, worker_id: UUID, outcomes: Sequence[rows.Outcome], scan: Scan, limit: int
    ) -> tuple[set[UUID], list[ClaimedJob]]:
        """Record the last batch and claim the next in one commit."""
        if self.gates_alone:
            recorded = self.record(worker_id, outcomes) if outcomes else set()
            scan.admit(self.open_due())
            return recorded, self.claim(scan, worker_id, limit)
        due = self.due_gates() if self.owed else []
        if not (outcomes or due):
            return set(), self.claim(scan, worker_id, limit)
        with self.one_commit():
            recorded = self._record(worker_id, outcomes) if outcomes else set()
            if due:
                self.open_gates(due)
            if self.admitted:
                scan.admit(self.admitted)
            return recorded, self.claim(scan, worker_id, limit)

    def _record(self, worker_id: UUID, outcomes: _Ends) -> set[UUID]:
        back = [outcome for outcome in outcomes if outcome.state == "READY"]
        ended = [outcome for outcome in outcomes if outcome.state != "READY"]
        held = self.finish(worker_id, ended) if ended else set()
        if back:
            held |= self._give_back(worker_id, back)
        for hook in hooks.after_record:
            hook(self.alias, [o for o in outcomes if o.id in held])
        if gates := {o.gate for o in outcomes if o.gate is not None and o.id in held}:
            self.open_gates(gates)
        return held

    def _give_back(self, worker_id: UUID, back: _Ends) -> set[UUID]:
        held = self.release(worker_id, back)
        if len(held) == len(back):
            return held
        # The others were taken over by somebody, or cancelled, and then end here.
        rest = [outcome for outcome in back if outcome.id not in held]
        turned = self.turned(rest)
        ended = self.finish(worker_id, turned)
        for outcome, other in zip(rest, turned, strict=True):
            if outcome.id in ended:
                outcome.become(other)
        return held | ended

    def _take_in_order(
        self, targets: Sequence[rows.Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        for gate in hooks.before_claim:
            targets = gate(self.alias, targets)
        if conf.current().queues:
            targets = bounded(targets)
        jobs = self.take(targets, worker_id, limit)
        # UPDATE … RETURNING gives rows back in any order.
        jobs.sort(key=BY_AGE)
        if len({job.priority for job in jobs}) > 1:
            jobs.sort(key=BY_PRIORITY, reverse=True)
        if len(targets) > 1:
            place = {target.queue: i for i, target in enumerate(targets)}
            jobs.sort(key=lambda job: place[job.queue_name])
        return jobs

    def _rows(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def _run(self, sql: str, params: dict[str, Any]) -> int:
        """Execute a statement that returns no rows; return how many it changed."""
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)

    def _cursor(self, params: dict[str, Any]) -> AbstractContextManager[Any]:
        return self.connection.cursor()
