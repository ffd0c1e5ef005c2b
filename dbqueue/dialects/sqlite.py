"""SQLite 3.35 and later: one writer at a time, and the clock of its only host."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
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
from dbqueue.dialects.moments import Moments
from dbqueue.dialects.rows import (
    Calls,
    ClaimedJob,
    Head,
    NewJob,
    Outcome,
    Standing,
    Target,
    Written,
)

_CONSTANT = """%(task)s, %(queue_name)s, %(priority)s, %(backend)s,
    CASE WHEN %(due)s > %(now)s THEN 'SCHEDULED' ELSE 'READY' END,
    0, 0, %(max_attempts)s"""

WRITE = f"""
INSERT INTO dbqueue_job ({COLUMNS})
VALUES (%(id)s, {_CONSTANT}, %(args)s, %(kwargs)s, %(context)s, '[]', %(now)s, %(due)s)
ON CONFLICT (id) DO NOTHING
RETURNING state
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

# Taken apart once and for all: as expressions of a join, they would be read again for
# every job that they are compared with.
_OUTCOMES = """o AS MATERIALIZED (
    SELECT json_extract(value, '$.id') AS job, json_extract(value, '$.attempt') AS nth,
        json_extract(value, '$.state') AS ended,
        json_extract(value, '$.result') AS result,
        json_extract(value, '$.record') AS record,
        json_extract(value, '$.due') AS due,
        json_extract(value, '$.failed') AS failed,
        json_extract(value, '$.duration') AS duration
    FROM json_each(%(outcomes)s)
)"""

_FENCE = """j.id = o.job AND j.attempt = o.nth AND j.worker_id = %(worker)s
      AND j.state = 'RUNNING'"""

# What was damaged by hand must not keep a job from ending: it is kept as a string.
_LOG = f"""CASE
    WHEN o.record IS NULL THEN {{log}}
    ELSE json_insert(CASE WHEN json_array_length({{log}}) < {LOG_LENGTH}
        THEN {{log}} ELSE json_remove({{log}}, '$[1]') END,
        '$[#]', json(o.record)) END""".format(
    log="""CASE WHEN json_valid(j.attempt_log) AND json_type(j.attempt_log) = 'array'
        THEN j.attempt_log ELSE '[]' END"""
)


def _whole(column: str) -> str:
    name = f"j.{column}"
    return f"CASE WHEN json_valid({name}) THEN {name} ELSE json_quote({name}) END"


# SQLite keeps the order of a CROSS JOIN: a probe for each outcome, not a scan of jobs.
ARCHIVE = f"""
WITH {_OUTCOMES}
INSERT INTO dbqueue_finishedjob ({CARRIED}, args, kwargs, context, state, failures,
                                 attempt_log, result, duration, finished_at)
SELECT {CARRIED}, {_whole("args")}, {_whole("kwargs")}, {_whole("context")},
       o.ended, failures + o.failed, {_LOG}, o.result, o.duration, %(now)s
FROM o CROSS JOIN dbqueue_job AS j ON {_FENCE}
WHERE true
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

REMOVE = f"""
WITH {_OUTCOMES}
DELETE FROM dbqueue_job
WHERE id IN (SELECT j.id FROM o CROSS JOIN dbqueue_job AS j ON {_FENCE})
"""

GIVE_BACK = f"""
WITH {_OUTCOMES}
UPDATE dbqueue_job AS j
SET state = iif(o.due IS NULL, 'READY', 'SCHEDULED'),
    run_after = coalesce(o.due, j.run_after),
    worker_id = NULL, failures = j.failures + o.failed, attempt_log = {_LOG}
FROM o
WHERE {_FENCE}
RETURNING id
"""

NOTE_PROGRESS = f"""
WITH {_OUTCOMES}
UPDATE dbqueue_job AS j SET progress = o.result FROM o WHERE {_FENCE}
"""

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

NEXT_DUE = "SELECT min(run_after) FROM dbqueue_job WHERE state = 'SCHEDULED'"

WRITE_CHUNK = """
INSERT INTO dbqueue_uploadchunk (upload_id, position, data)
VALUES (%(upload)s, %(position)s, %(data)s)
"""


class SQLite(Dialect):
    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._moments = Moments(alias)
        if sqlite3.sqlite_version_info < (3, 35):
            raise ImproperlyConfigured(
                f"This Python has SQLite {sqlite3.sqlite_version}; dbqueue needs 3.35."
            )

    def write(self, job: NewJob) -> Written | None:
        params = self._params(job)
        return self._written(params) if self._rows(WRITE, params) else None

    def write_many(self, job: NewJob, calls: Calls) -> Written:
        params = self._params(job)
        ids = [id.hex for id in calls.ids]
        params["jobs"] = json.dumps(
            list(zip(ids, calls.args, calls.kwargs, strict=True))
        )
        self._rows(WRITE_MANY, params)
        return self._written(params)

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
            return [self._claimed(row) for row in self._rows(TAKE, params)]

    def archive(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        documents = [self._document(outcome) for outcome in outcomes]
        with self.one_commit():
            settled = self._fenced(ARCHIVE, worker_id, documents)
            self._fenced(REMOVE, worker_id, documents)
        return settled

    def give_back(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        documents = [self._document(outcome) for outcome in outcomes]
        return self._fenced(GIVE_BACK, worker_id, documents)

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        documents = [
            {"id": id.hex, "attempt": attempt, "result": text}
            for id, attempt, text in notes
        ]
        self._fenced(NOTE_PROGRESS, worker_id, documents)

    def promote(self, limit: int) -> set[str]:
        rows = self._rows(PROMOTE, {"limit": limit, "now": self._moments.now()})
        return {queue for (queue,) in rows}

    def next_due(self) -> float | None:
        age = self._age(self._rows(NEXT_DUE, {})[0][0])
        return None if age is None else -age

    def write_chunk(self, upload_id: UUID, position: int, data: bytes) -> None:
        params = {"upload": upload_id.hex, "position": position, "data": data}
        self._rows(WRITE_CHUNK, params)

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
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def limit_waiting(self, seconds: float) -> None:
        self._rows(f"PRAGMA busy_timeout = {int(seconds * 1000)}", {})

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

    def _fenced(
        self, sql: str, worker_id: UUID, documents: list[dict[str, Any]]
    ) -> set[UUID]:
        params = {
            "worker": worker_id.hex,
            "outcomes": json.dumps(documents),
            "now": self._moments.now(),
        }
        return {UUID(id) for (id,) in self._rows(sql, params)}

    def _document(self, outcome: Outcome) -> dict[str, Any]:
        document = {name: getattr(outcome, name) for name in outcome.__slots__}
        due = self._moments.now(outcome.delay) if outcome.delay > 0 else None
        return document | {"id": outcome.id.hex, "due": due}

    def _params(self, job: NewJob) -> dict[str, Any]:
        now, due = timezone.now(), job.run_after
        if job.delay is not None:
            due = now + timedelta(seconds=job.delay)
        params = {name: getattr(job, name) for name in job.__slots__}
        return params | {
            "id": job.id.hex,
            "now": self._moments.write(now),
            "due": None if due is None else self._moments.write(due),
        }

    def _age(self, moment: str | None) -> float | None:
        """Return the seconds since the moment; before it, below 0."""
        past = self._moments.read(moment)
        return None if past is None else (timezone.now() - past).total_seconds()

    def _written(self, params: dict[str, Any]) -> Written:
        now, due = params["now"], params["due"]
        state = "SCHEDULED" if due is not None and due > now else "READY"  # as in SQL
        enqueued_at: Any = self._moments.read(now)
        return Written(state, enqueued_at, self._moments.read(due))

    def _claimed(self, row: tuple[Any, ...]) -> ClaimedJob:
        values = dict(zip(ClaimedJob._fields, row, strict=True))
        values["id"] = UUID(values["id"])
        for name in ("enqueued_at", "run_after", "started_at", "last_attempted_at"):
            values[name] = self._moments.read(values[name])
        return ClaimedJob(**values)

    def clock(self) -> Any:
        return self._moments.expression()
