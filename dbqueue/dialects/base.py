"""What every database does alike: the shape of each move, and the shared statements.

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

from dbqueue.dialects.listener import Silence
from dbqueue.dialects.rows import (
    Calls,
    ClaimedJob,
    Head,
    NewJob,
    Outcome,
    Outlook,
    Standing,
    Target,
    Written,
)
from dbqueue.dialects.scan import Scan

# Attempt records a job keeps: the first and the latest.
LOG_LENGTH = 50

COLUMNS = """id, task, queue_name, priority, backend, state, attempt, failures,
    max_attempts, args, kwargs, context, attempt_log, enqueued_at, run_after"""
CLAIMED = ", ".join(ClaimedJob._fields)
# What moves unchanged from the hot table to the history.
CARRIED = (
    "id, task, queue_name, priority, backend, attempt, max_attempts, worker_id, "
    "progress, enqueued_at, run_after, started_at, last_attempted_at"
)

# A loose index scan: one probe a queue, however many rows each of them holds.
_NAMES = """names(name) AS (
    SELECT min(queue_name) FROM dbqueue_job WHERE state = 'READY'
    UNION ALL
    SELECT (SELECT min(queue_name) FROM dbqueue_job
            WHERE state = 'READY' AND queue_name > name)
    FROM names WHERE name IS NOT NULL
)"""

_FIRST = """FROM dbqueue_job WHERE state = 'READY' AND queue_name = name
    ORDER BY priority DESC, id LIMIT 1"""

# No join: PostgreSQL would read a table of some thousand rows as a whole for it.
HEADS = f"""
WITH RECURSIVE {_NAMES}
SELECT name, (SELECT priority {_FIRST}), (SELECT id {_FIRST})
FROM names WHERE name IS NOT NULL
"""

_LEVEL = """FROM dbqueue_job j
    WHERE j.state = 'READY' AND j.queue_name = name AND j.priority = levels.priority
    ORDER BY j.id"""

# Each part reads one partial index, and no more than `most` rows of it at a time. The
# first of a priority are looked at for the oldest: a job that was scheduled waits since
# it was due, any other since it was enqueued.
STANDING = f"""
WITH RECURSIVE {_NAMES},
levels(name, priority) AS (
    SELECT name, (SELECT max(priority) FROM dbqueue_job
                  WHERE state = 'READY' AND queue_name = name)
    FROM names WHERE name IS NOT NULL
    UNION ALL
    SELECT name, (SELECT max(j.priority) FROM dbqueue_job j
                  WHERE j.state = 'READY' AND j.queue_name = name
                    AND j.priority < levels.priority)
    FROM levels WHERE priority IS NOT NULL
)
SELECT 'READY', name,
    (SELECT count(*) FROM (SELECT 1 {_LEVEL} LIMIT %(most)s) AS counted),
    (SELECT {{age}} FROM (
        SELECT CASE WHEN run_after > enqueued_at THEN run_after ELSE enqueued_at END
            AS since {_LEVEL} LIMIT 1000) AS oldest)
FROM levels WHERE priority IS NOT NULL
UNION ALL
SELECT 'SCHEDULED', queue_name, count(*), NULL
FROM (SELECT queue_name FROM dbqueue_job WHERE state = 'SCHEDULED'
      ORDER BY run_after LIMIT %(most)s) AS next
GROUP BY queue_name
UNION ALL
SELECT 'RUNNING', queue_name, count(*), NULL
FROM dbqueue_job WHERE state = 'RUNNING' GROUP BY queue_name
"""


class Dialect:
    """The moves of a job on one database alias. Each is one guarded statement."""

    # Whether NOTIFY wakes workers here; without it they poll often.
    notifies: ClassVar[bool] = False
    # Whether the database is behind a connection that may go silent.
    is_remote: ClassVar[bool] = False
    # Whether a claim goes on from where the last one ended (see Scan).
    low_water: ClassVar[bool] = False

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    # The moves

    def write(self, job: NewJob, *, once: bool = False) -> Written | None:
        """Insert the job; with `once`, return None if its id is taken."""
        raise NotImplementedError

    def write_many(self, job: NewJob, calls: Calls) -> Written:
        """Insert a job like this one for each call, in one statement."""
        raise NotImplementedError

    def take(
        self, targets: Sequence[Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        """Claim up to `limit` ready jobs from the targets, for a worker with a row."""
        raise NotImplementedError

    def archive(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        """Move jobs that ended to the history; return the ids still held."""
        raise NotImplementedError

    def give_back(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        """Return jobs to the queue; return the ids still held."""
        raise NotImplementedError

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        """Store (id, attempt, JSON) of running jobs this worker still holds."""
        raise NotImplementedError

    def promote(self, limit: int) -> set[str]:
        """Make up to `limit` due jobs ready; return their queues."""
        raise NotImplementedError

    def outlook(self) -> Outlook:
        """Return whether a job is ready, and when the next one will be."""
        raise NotImplementedError

    def write_chunk(self, upload_id: UUID, position: int, data: bytes) -> None:
        """Write a piece of an upload."""
        raise NotImplementedError

    def wake(self, queues: Iterable[str]) -> None:
        """Tell workers that the queues have work; a hint, allowed to be lost."""

    def clock(self) -> Any:
        """Return the database's present moment, for the ORM."""
        return Now()

    def listener(self, interval: float) -> Silence:
        """Return what hears of new work, of whatever process and host.

        `interval` is the seconds between two looks where nothing can be sent.
        """
        return Silence()

    # What a statement needs

    def one_commit(self) -> AbstractContextManager[Any]:
        """Return a block whose statements commit together, a writer from its start."""
        raise NotImplementedError

    def is_missing_table(self, error: DatabaseError) -> bool:
        """Tell whether the error says that the tables are not there."""
        raise NotImplementedError

    def limit_waiting(self, seconds: float) -> None:
        """Let this thread's connection not wait longer than this for another writer."""

    def limit_idling(self, seconds: float, *, local: bool = False) -> None:
        """Have the server end this session if it idles longer in a transaction.

        `local` is for the present transaction alone.
        """

    def prepare_session(self, idling: float) -> None:
        """Set up this thread's new session for a worker's loop, if it is ours alone.

        A transaction may stand still for `idling` seconds. Plans go by the indexes, and
        the server keeps them.
        """

    def is_busy(self, error: DatabaseError) -> bool:
        """Tell whether a writer on this host keeps everybody else out."""
        return False

    def is_cancelled(self, error: Error) -> bool:
        """Tell whether the server cancelled the statement, as for its time limit."""
        return False

    def is_refused(self, error: Error) -> bool:
        """Tell whether the server asks for the same transaction once more."""
        return False

    @staticmethod
    def cut(raw: Any) -> None:
        """End the driver's connection under whoever waits for its answer."""

    @staticmethod
    def driver_is_at_rest(raw: Any) -> bool:
        """Tell whether the driver's connection is open and in no transaction."""
        return True

    def heads(self) -> list[Head]:
        """Return the first ready job of each queue."""
        raise NotImplementedError

    def standing(self, most: int) -> list[Standing]:
        """Count what stands in the queues, up to `most` of each kind."""
        raise NotImplementedError

    # The moves composed

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
            targets = scan.fresh(self.heads)
            if targets:
                jobs += self._take_in_order(targets, worker_id, limit - len(jobs))
        scan.took(jobs, exhausted=len(jobs) < limit)
        return jobs

    def settle(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        """Record how attempts ended; return the ids whose fence still held."""
        back = [outcome for outcome in outcomes if outcome.state == "READY"]
        ended = [outcome for outcome in outcomes if outcome.state != "READY"]
        if not (back and ended):
            return self._settle(worker_id, ended, back)
        with self.one_commit():
            return self._settle(worker_id, ended, back)

    def exchange(
        self, worker_id: UUID, outcomes: Sequence[Outcome], scan: Scan, limit: int
    ) -> tuple[set[UUID], list[ClaimedJob]]:
        """Settle the last batch and claim the next in one commit."""
        if not outcomes:
            return set(), self.claim(scan, worker_id, limit)
        with self.one_commit():
            settled = self.settle(worker_id, outcomes)
            return settled, self.claim(scan, worker_id, limit)

    def _settle(
        self, worker_id: UUID, ended: Sequence[Outcome], back: Sequence[Outcome]
    ) -> set[UUID]:
        settled: set[UUID] = set()
        if ended:
            settled |= self.archive(worker_id, ended)
        if back:
            settled |= self.give_back(worker_id, back)
        return settled

    def _take_in_order(
        self, targets: Sequence[Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        jobs = self.take(targets, worker_id, limit)
        # UPDATE … RETURNING gives rows back in any order.
        place = {target.queue: i for i, target in enumerate(targets)}
        jobs.sort(key=lambda job: (place[job.queue_name], -job.priority, job.id))
        return jobs

    def _rows(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows

    def _run(self, sql: str, params: dict[str, Any]) -> int:
        """Execute a statement that returns no rows; return how many it changed."""
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)

    def _cursor(self, params: dict[str, Any]) -> AbstractContextManager[Any]:
        return self.connection.cursor()
