"""SQLite 3.35 and later: one writer at a time, and the clock of its only host."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.utils import timezone

from dbqueue.dialects.base import (
    CARRIED,
    CLAIMED,
    COLUMNS,
    HEADS,
    LOG_LENGTH,
    STANDING,
    Dialect,
)
from dbqueue.dialects.listener import Silence, SQLiteListener
from dbqueue.dialects.moments import Moments, as_kept
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
from dbqueue.dialects.turns import PATIENCE, Turns

_CONSTANT = """%(task)s, %(queue_name)s, %(priority)s, %(backend)s, %(state)s, 0, 0,
    %(max_attempts)s"""

WRITE = f"""
INSERT INTO dbqueue_job ({COLUMNS})
VALUES (%(id)s, {_CONSTANT}, %(args)s, %(kwargs)s, %(context)s, '[]', %(now)s, %(due)s)
ON CONFLICT (id) DO NOTHING
"""

WRITE_MANY = f"""
INSERT INTO dbqueue_job ({COLUMNS})
SELECT json_extract(value, '$[0]'), {_CONSTANT}, json_extract(value, '$[1]'),
       json_extract(value, '$[2]'), %(context)s, '[]', %(now)s, %(due)s
FROM json_each(%(jobs)s)
"""

_READY = """SELECT id FROM dbqueue_job
    WHERE state = 'READY' AND queue_name = %(queue)s
      AND priority BETWEEN %(lowest)s AND %(highest)s
    ORDER BY priority DESC, id"""

# An idle worker looks often, and must not become the writer to find nothing.
PEEK = f"{_READY} LIMIT 1"

# No row locks are needed: the statement is a writer from its start, and there is only
# one writer.
TAKE = f"""
UPDATE dbqueue_job
SET state = 'RUNNING', worker_id = %(worker)s, attempt = attempt + 1,
    started_at = coalesce(started_at, %(now)s), last_attempted_at = %(now)s
WHERE id IN ({_READY} LIMIT %(limit)s)
  AND EXISTS (SELECT 1 FROM dbqueue_worker WHERE id = %(worker)s)
RETURNING {CLAIMED}
"""

_FENCE = "id = :id AND attempt = :attempt AND worker_id = :worker AND state = 'RUNNING'"

# What was damaged by hand must not keep a job from ending: it is kept as a string.
_LOG = f"""CASE
    WHEN :record IS NULL THEN {{log}}
    ELSE json_insert(CASE WHEN json_array_length({{log}}) < {LOG_LENGTH}
        THEN {{log}} ELSE json_remove({{log}}, '$[1]') END,
        '$[#]', json(:record)) END""".format(
    log="""CASE WHEN json_valid(attempt_log) AND json_type(attempt_log) = 'array'
        THEN attempt_log ELSE '[]' END"""
)


def _whole(column: str) -> str:
    return f"CASE WHEN json_valid({column}) THEN {column} ELSE json_quote({column}) END"


ARCHIVE = f"""
INSERT INTO dbqueue_finishedjob ({CARRIED}, args, kwargs, context, state, failures,
                                 attempt_log, result, duration, finished_at)
SELECT {CARRIED}, {_whole("args")}, {_whole("kwargs")}, {_whole("context")},
       :state, failures + :failed, {_LOG}, :result, :duration, :now
FROM dbqueue_job WHERE {_FENCE}
ON CONFLICT (id) DO NOTHING
"""

REMOVE = f"DELETE FROM dbqueue_job WHERE {_FENCE}"

GIVE_BACK = f"""
UPDATE dbqueue_job
SET state = iif(:due IS NULL, 'READY', 'SCHEDULED'),
    run_after = coalesce(:due, run_after),
    worker_id = NULL, failures = failures + :failed, attempt_log = {_LOG}
WHERE {_FENCE}
"""

NOTE_PROGRESS = f"UPDATE dbqueue_job SET progress = :result WHERE {_FENCE}"

PROMOTE = """
UPDATE dbqueue_job SET state = 'READY'
WHERE id IN (
    SELECT id FROM dbqueue_job
    WHERE state = 'SCHEDULED' AND run_after <= %(now)s
    ORDER BY run_after
    LIMIT %(limit)s
)
RETURNING queue_name
"""

OUTLOOK = """
SELECT EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'READY'), min(run_after)
FROM dbqueue_job WHERE state = 'SCHEDULED'
"""

WRITE_CHUNK = """
INSERT INTO dbqueue_uploadchunk (upload_id, position, data)
VALUES (%(upload)s, %(position)s, %(data)s)
"""


class SQLite(Dialect):
    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._moments = Moments(alias)
        self._turns = Turns()
        if sqlite3.sqlite_version_info < (3, 35):
            raise ImproperlyConfigured(
                f"This Python has SQLite {sqlite3.sqlite_version}; dbqueue needs 3.35."
            )

    def write(self, job: NewJob, *, once: bool = False) -> Written | None:
        written = _written(job)
        params = self._params(job, written)
        return written if self._run(WRITE, params) else None

    def write_many(self, job: NewJob, calls: Calls) -> Written:
        written = _written(job)
        params = self._params(job, written)
        params["jobs"] = json.dumps(list(zip(*calls, strict=True)))
        self._run(WRITE_MANY, params)
        return written

    def take(
        self, targets: Sequence[Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        jobs: list[ClaimedJob] = []
        for target in targets:
            params: dict[str, Any] = {
                "queue": target.queue,
                "lowest": target.lowest,
                "highest": target.highest,
                "worker": worker_id.hex,
            }
            if len(jobs) < limit and self._rows(PEEK, params):
                params["limit"] = limit - len(jobs)
                jobs += self._take(params)
        return jobs

    def _take(self, params: dict[str, Any]) -> list[ClaimedJob]:
        with self.one_commit():
            # Now that the lock is ours: who waited for it would claim in the past.
            params["now"] = self._moments.now()
            rows = self._rows(TAKE, params)
        # Jobs that are claimed together have most of their moments in common.
        read = cache(self._moments.read)
        return [_claimed(row, read) for row in rows]

    def archive(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        return self._settled([ARCHIVE, REMOVE], worker_id, outcomes)

    def give_back(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        return self._settled([GIVE_BACK], worker_id, outcomes)

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        with self._each() as change:
            for id, attempt, text in notes:
                fence = {"id": id.hex, "attempt": attempt, "worker": worker_id.hex}
                change(NOTE_PROGRESS, fence | {"result": text})

    def promote(self, limit: int) -> set[str]:
        rows = self._rows(PROMOTE, {"limit": limit, "now": self._moments.now()})
        return {queue for (queue,) in rows}

    def outlook(self) -> Outlook:
        ((ready, next_at),) = self._rows(OUTLOOK, {})
        age = self._age(next_at)
        return Outlook(bool(ready), None if age is None else -age)

    def write_chunk(self, upload_id: UUID, position: int, data: bytes) -> None:
        params = {"upload": upload_id.hex, "position": position, "data": data}
        self._run(WRITE_CHUNK, params)

    def heads(self) -> list[Head]:
        rows = self._rows(HEADS, {})
        return [Head(queue, priority, UUID(id)) for queue, priority, id in rows]

    def standing(self, most: int) -> list[Standing]:
        rows = self._rows(STANDING.format(age="min(since)"), {"most": most})
        return [
            Standing(state, queue, jobs, self._age(since))
            for state, queue, jobs, since in rows
        ]

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        connection = self.connection
        connection.ensure_connection()
        if connection.connection.in_transaction:
            yield  # the transaction around it commits it
            return
        # A deferred transaction that reads first cannot become a writer once another
        # process has written: SQLite answers "locked" at once, without waiting.
        with connection.cursor() as cursor, self._turns.turn(connection):
            try:
                yield
                cursor.execute("COMMIT")
            except BaseException:
                if connection.connection.in_transaction:
                    cursor.execute("ROLLBACK")
                raise

    def listener(self, interval: float) -> Silence:
        wrapper: Any = self.connection
        if wrapper.is_in_memory_db():
            return Silence()
        return SQLiteListener(self.alias, interval)

    def limit_waiting(self, seconds: float) -> None:
        self._run(PATIENCE.format(milliseconds=int(seconds * 1000)), {})

    def is_busy(self, error: DatabaseError) -> bool:
        return "locked" in str(error)

    @staticmethod
    def driver_is_at_rest(raw: Any) -> bool:
        try:
            return not raw.in_transaction
        except sqlite3.ProgrammingError:  # it is closed
            return False

    def is_missing_table(self, error: DatabaseError) -> bool:
        return "no such table" in str(error)

    def _settled(
        self, moves: Sequence[str], worker_id: UUID, outcomes: Sequence[Outcome]
    ) -> set[UUID]:
        settled = set()
        now, worker = self._moments.now(), worker_id.hex
        with self._each() as change:
            for outcome in outcomes:
                values = self._document(outcome)
                values |= {"worker": worker, "now": now}
                changed, *_ = [change(move, values) for move in moves]
                if changed:
                    settled.add(outcome.id)
        return settled

    @contextmanager
    def _each(self) -> Iterator[Callable[[str, dict[str, Any]], int]]:
        """Give what makes one of many changes, all in one commit, and counts its rows.

        It is the bare cursor of sqlite3, which keeps the statement prepared: a row
        takes it a few microseconds, and Django's as long again.
        """
        connection = self.connection
        # Of an atomic job that swallowed an error; the bare cursor would not ask.
        connection.validate_no_broken_transaction()
        with self.one_commit(), connection.wrap_database_errors:
            cursor = connection.connection.cursor()

            def change(sql: str, values: dict[str, Any]) -> int:
                return int(cursor.execute(sql, values).rowcount)

            yield change

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        record = outcome.record
        return {
            "id": outcome.id.hex,
            "attempt": outcome.attempt,
            "state": outcome.state,
            "result": outcome.result,
            "record": None if record is None else json.dumps(record),
            "failed": outcome.failed,
            "due": self._moments.now(outcome.delay) if outcome.delay > 0 else None,
            "duration": outcome.duration,
        }

    def _params(self, job: NewJob, written: Written) -> dict[str, Any]:
        due = written.run_after
        return {name: getattr(job, name) for name in job.__slots__} | {
            "id": job.id.hex,
            "state": written.state,
            "now": self._moments.write(written.enqueued_at),
            "due": None if due is None else self._moments.write(due),
        }

    def _age(self, moment: str | None) -> float | None:
        """Return the seconds since the moment; before it, below 0."""
        past = self._moments.read(moment)
        return None if past is None else (timezone.now() - past).total_seconds()

    def clock(self) -> Any:
        return self._moments.expression()


def _written(job: NewJob) -> Written:
    now, due = timezone.now(), job.run_after
    if job.delay is not None:
        due = now + timedelta(seconds=job.delay)
    now, due = as_kept(now), None if due is None else as_kept(due)
    state = "SCHEDULED" if due is not None and due > now else "READY"
    return Written(state, now, due)


def _claimed(row: tuple[Any, ...], read: Callable[[Any], Any]) -> ClaimedJob:
    id, *rest = row[:-4]
    return ClaimedJob(UUID(id), *rest, *map(read, row[-4:]))
