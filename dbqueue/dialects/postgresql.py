"""PostgreSQL 14 and later, through psycopg 3."""

import json
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, Error, transaction

from dbqueue.dialects.base import (
    CARRIED,
    CLAIMED,
    COLUMNS,
    HEADS,
    LOG_LENGTH,
    STANDING,
    Dialect,
)
from dbqueue.dialects.cursors import Kept
from dbqueue.dialects.listener import CHANNEL, PostgreSQLListener, Silence
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

_DUE = """coalesce(%(run_after)s::timestamptz,
    statement_timestamp() + %(delay)s::float8 * interval '1 second')"""

_STATE = f"CASE WHEN {_DUE} > statement_timestamp() THEN 'SCHEDULED' ELSE 'READY' END"

_CONSTANT = """%(task)s, %(queue_name)s, %(priority)s, %(backend)s, {state},
    0, 0, %(max_attempts)s"""

_WRITE = f"""
INSERT INTO dbqueue_job ({COLUMNS})
VALUES (%(id)s, {_CONSTANT}, %(args)s, %(kwargs)s, %(context)s, '[]',
        statement_timestamp(), {{due}})
"""

# What most jobs are: ready at once, under an id that nobody else has.
WRITE_READY = f"""{_WRITE.format(state="'READY'", due="NULL")}
RETURNING enqueued_at
"""

WRITE = f"""{_WRITE.format(state=_STATE, due=_DUE)}
ON CONFLICT (id) DO NOTHING
RETURNING state, enqueued_at, run_after
"""

# The values come as one text for each column: psycopg takes a microsecond for each item
# of a list.
WRITE_MANY = f"""
WITH written AS (
INSERT INTO dbqueue_job ({COLUMNS})
SELECT n.id, {_CONSTANT.format(state=_STATE)}, n.args::jsonb, n.kwargs::jsonb,
       %(context)s, '[]', statement_timestamp(), {_DUE}
FROM ROWS FROM (unnest(%(ids)s::uuid[]), json_array_elements(%(args)s::json),
                json_array_elements(%(kwargs)s::json)) AS n(id, args, kwargs)
)
SELECT {_STATE}, statement_timestamp(), {_DUE}
"""

# One index-ordered branch a target: a global ORDER BY over several queues would sort
# the whole backlog, and so would LATERAL, whose values the planner cannot see.
BRANCH = """
    SELECT id FROM (
        SELECT id FROM dbqueue_job
        WHERE state = 'READY' AND queue_name = %(queue{n})s {beyond}
        ORDER BY priority DESC, id
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS branch{n}"""

# MATERIALIZED and the array keep the planner from running the limited branches again
# and so claiming more than the limit. A worker whose row is gone was declared dead and
# claims nothing.
TAKE = f"""
WITH picked AS MATERIALIZED (
    SELECT id FROM ({{branches}}) AS ready LIMIT %(limit)s
)
UPDATE dbqueue_job
SET state = 'RUNNING', worker_id = %(worker)s, attempt = attempt + 1,
    started_at = coalesce(started_at, statement_timestamp()),
    last_attempted_at = statement_timestamp()
WHERE id = ANY(ARRAY(SELECT id FROM picked))
  AND EXISTS (SELECT 1 FROM dbqueue_worker WHERE id = %(worker)s)
RETURNING {CLAIMED}
"""

_LEVELS = "AND priority BETWEEN %(lowest{n})s AND %(highest{n})s"
_BEYOND = f"{_LEVELS} AND id > %(after{{n}})s"

# Targets in one statement: planning takes longer with each, and the first have most.
BRANCHES = 16

# The log may have been damaged by hand; that must not keep a job from ending.
_LOG = f"""CASE
    WHEN json_typeof(o.record) = 'null' THEN j.attempt_log
    WHEN jsonb_typeof(j.attempt_log) <> 'array' THEN jsonb_build_array(o.record)
    WHEN jsonb_array_length(j.attempt_log) < {LOG_LENGTH}
        THEN j.attempt_log || o.record::jsonb
    ELSE (j.attempt_log - 1) || o.record::jsonb END"""

# CASE hides the condition from the planner, which would read the index of running jobs:
# all that this worker has run since vacuum are still in it. The inner SELECT hides how
# many ids there are: it would expect more rows than old statistics of a table say.
_FENCE = """j.id = o.id AND j.attempt = o.attempt
      AND CASE j.state WHEN 'RUNNING' THEN j.worker_id = %(worker)s END
      AND j.id = ANY(ARRAY(SELECT unnest(%(ids)s::uuid[])))"""

# One text for each column again. The results and the records are lists of JSON.
_OUTCOMES = """ROWS FROM (unnest(%(ids)s::uuid[]), unnest(%(attempts)s::int[]),
        unnest(%(states)s::text[]), json_array_elements(%(results)s::json),
        json_array_elements(%(records)s::json), unnest(%(failed)s::int[]),
        unnest(%(delays)s::float8[]), unnest(%(durations)s::float8[]))
    AS o(id, attempt, state, result, record, failed, delay, duration)"""

ARCHIVE = f"""
WITH gone AS (
    DELETE FROM dbqueue_job AS j USING {_OUTCOMES}
    WHERE {_FENCE}
    RETURNING j.*, o.state AS ended, o.result, o.duration, o.failed, {_LOG} AS log
)
INSERT INTO dbqueue_finishedjob ({CARRIED}, args, kwargs, context, state, failures,
                                 attempt_log, result, duration, finished_at)
SELECT {CARRIED}, args, kwargs, context, ended, failures + failed, log,
       CASE ended WHEN 'SUCCESSFUL' THEN result::jsonb END, duration,
       statement_timestamp()
FROM gone
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

GIVE_BACK = f"""
UPDATE dbqueue_job AS j
SET state = CASE WHEN o.delay > 0 THEN 'SCHEDULED' ELSE 'READY' END,
    run_after = CASE WHEN o.delay > 0
        THEN statement_timestamp() + o.delay * interval '1 second' ELSE j.run_after END,
    worker_id = NULL, failures = j.failures + o.failed,
    attempt_log = {_LOG}
FROM {_OUTCOMES}
WHERE {_FENCE}
RETURNING j.id
"""

NOTE_PROGRESS = f"""
UPDATE dbqueue_job AS j SET progress = o.result::jsonb
FROM {_OUTCOMES} WHERE {_FENCE}
"""

PROMOTE = """
WITH due AS MATERIALIZED (
    SELECT id FROM dbqueue_job
    WHERE state = 'SCHEDULED' AND run_after <= statement_timestamp()
    ORDER BY run_after
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE dbqueue_job SET state = 'READY'
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING queue_name
"""

FIRST_HEAD = """
SELECT queue_name, priority, id,
    (SELECT max(queue_name) FROM dbqueue_job WHERE state = 'READY')
FROM dbqueue_job WHERE state = 'READY'
ORDER BY queue_name, priority DESC, id LIMIT 1
"""

# The least name, and not EXISTS: for that, the planner may hope to meet a ready job
# soon, and read the whole table.
OUTLOOK = """
SELECT (SELECT min(queue_name) FROM dbqueue_job WHERE state = 'READY') IS NOT NULL,
    extract(epoch FROM min(run_after) - statement_timestamp())::float8
FROM dbqueue_job WHERE state = 'SCHEDULED'
"""

WRITE_CHUNK = """
INSERT INTO dbqueue_uploadchunk (upload_id, position, data) VALUES (%s, %s, %b)
"""

_AGE = "extract(epoch FROM statement_timestamp() - min(since))::float8"

LIMIT_IDLING = "SET {scope} idle_in_transaction_session_timeout = {milliseconds}"

# A plan that was made while a table was empty serves until somebody analyzes it. These
# make it the plan for a million rows, too: by the indexes, which have the order we ask.
BY_INDEX = """
SELECT set_config(name, 'off', false) FROM unnest(
    '{enable_seqscan,enable_bitmapscan,enable_sort,jit}'::text[]) AS setting(name)
"""

# Characters; the values of a longer statement stay in no cursor.
LARGE = 50_000

IDLE = 0  # PQTRANS_IDLE of libpq

REFUSED = ("40001", "40P01")  # serialization failure, deadlock detected

# A hint need not be on the disk before its commit returns: the next may be a job's.
NOTIFY = f"""
SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', queue)
FROM unnest(%s::text[]) AS q(queue)
"""


class PostgreSQL(Dialect):
    notifies = True
    is_remote = True
    # Index entries of claimed rows stay until vacuum may remove them; a long
    # transaction elsewhere forbids that, and a scan from the start reads them all.
    low_water = True

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        driver: Any = getattr(self.connection, "Database")  # noqa: B009  not in the stubs
        if driver.__name__ != "psycopg":
            raise ImproperlyConfigured(
                f"Database {alias!r} is reached through psycopg2, not psycopg 3. "
                "Install it: pip install 'dbqueue-django[postgres]'."
            )

        self._kept = Kept()

    def write(self, job: NewJob, *, once: bool = False) -> Written | None:
        at_once = job.run_after is None and job.delay is None
        if at_once and not once:
            ((enqueued_at,),) = self._rows(WRITE_READY, self._params(job))
            return Written("READY", enqueued_at, None)
        rows = self._rows(WRITE, self._params(job))
        return Written(*rows[0]) if rows else None

    def write_many(self, job: NewJob, calls: Calls) -> Written:
        params = self._params(job) | {
            "ids": _array(calls.ids),
            "args": f"[{','.join(calls.args)}]",
            "kwargs": f"[{','.join(calls.kwargs)}]",
        }
        return Written(*self._rows(WRITE_MANY, params)[0])

    def take(
        self, targets: Sequence[Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        jobs: list[ClaimedJob] = []
        for first in range(0, len(targets), BRANCHES):
            if len(jobs) < limit:
                some = targets[first : first + BRANCHES]
                jobs += self._take(some, worker_id, limit - len(jobs))
        return jobs

    def _take(
        self, targets: Sequence[Target], worker_id: UUID, limit: int
    ) -> list[ClaimedJob]:
        params: dict[str, Any] = {"limit": limit, "worker": worker_id}
        for n, target in enumerate(targets):
            params |= {f"{name}{n}": value for name, value in target._asdict().items()}
        sql = _taking(tuple(_beyond(target) for target in targets))
        return [ClaimedJob(*row) for row in self._rows(sql, params)]

    def archive(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        return self._settled(ARCHIVE, worker_id, outcomes)

    def give_back(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]:
        return self._settled(GIVE_BACK, worker_id, outcomes)

    def note_progress(
        self, worker_id: UUID, notes: Sequence[tuple[UUID, int, str]]
    ) -> None:
        running = [
            Outcome(id=id, attempt=attempt, state="RUNNING", result=text)
            for id, attempt, text in notes
        ]
        self._run(NOTE_PROGRESS, _fenced(worker_id, running))

    def promote(self, limit: int) -> set[str]:
        return {queue for (queue,) in self._rows(PROMOTE, {"limit": limit})}

    def outlook(self) -> Outlook:
        return Outlook(*self._rows(OUTLOOK, {})[0])

    def heads(self) -> list[Head]:
        # Mostly there is one queue, or none: to plan the whole question takes longer
        # than to ask this one.
        first = self._rows(FIRST_HEAD, {})
        if all(queue_name == last for queue_name, *_, last in first):
            return [Head(*row[:-1]) for row in first]
        return [Head(*row) for row in self._rows(HEADS, {})]

    def standing(self, most: int) -> list[Standing]:
        sql = STANDING.format(age=_AGE)
        return [Standing(*row) for row in self._rows(sql, {"most": most})]

    def write_chunk(self, upload_id: UUID, position: int, data: bytes) -> None:
        # Django's cursors write values into the statement's text: for bytes that costs
        # fourteen times the processor time of sending them as they are.
        connection = self.connection
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        cursor: Any = getattr(connection, "Database").Cursor  # noqa: B009  as above
        with connection.wrap_database_errors, cursor(connection.connection) as sending:
            sending.execute(WRITE_CHUNK, [upload_id, position, data])

    def wake(self, queues: Iterable[str]) -> None:
        # The bare psycopg cursor: a hint is no query of the project's, and is not
        # counted or logged as one. Its errors are psycopg's, wrapped as Django's.
        connection = self.connection
        connection.ensure_connection()
        with connection.wrap_database_errors:
            connection.connection.execute(NOTIFY, [list(queues)])

    def limit_idling(self, seconds: float, *, local: bool = False) -> None:
        scope, milliseconds = "LOCAL" if local else "SESSION", int(seconds * 1000)
        self._run(LIMIT_IDLING.format(scope=scope, milliseconds=milliseconds), {})

    def prepare_session(self, idling: float) -> None:
        raw = self.connection.connection
        ((pid,),) = self._rows("SELECT pg_backend_pid()", {})
        # A pooler introduces itself as another process than the one that answers.
        if pid == raw.info.backend_pid:
            self.limit_idling(idling)
            self._rows(BY_INDEX, {})
            self._kept.own_session = raw

    def listener(self, interval: float) -> Silence:
        return PostgreSQLListener(self.alias)

    def one_commit(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.alias)

    @staticmethod
    def cut(raw: Any) -> None:
        if raw is not None and not raw.closed:
            with socket.socket(fileno=os.dup(raw.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def driver_is_at_rest(raw: Any) -> bool:
        return not raw.closed and raw.pgconn.transaction_status == IDLE

    def is_missing_table(self, error: DatabaseError) -> bool:
        return getattr(error.__cause__, "sqlstate", None) == "42P01"

    def is_cancelled(self, error: Error) -> bool:
        return getattr(error.__cause__, "sqlstate", None) == "57014"

    def is_refused(self, error: Error) -> bool:
        return getattr(error.__cause__, "sqlstate", None) in REFUSED

    def _cursor(self, params: dict[str, Any]) -> AbstractContextManager[Any]:
        if sum(len(value) for value in params.values() if type(value) is str) > LARGE:
            return self.connection.cursor()
        return self._kept.lent(self.connection)

    def _settled(
        self, sql: str, worker_id: UUID, outcomes: Sequence[Outcome]
    ) -> set[UUID]:
        return {id for (id,) in self._rows(sql, _fenced(worker_id, outcomes))}

    def _params(self, job: NewJob) -> dict[str, Any]:
        return {name: getattr(job, name) for name in job.__slots__}


def _beyond(target: Target) -> str:
    if target.is_whole():
        return ""
    return _LEVELS if target.after is None else _BEYOND


@lru_cache
def _taking(beyonds: tuple[str, ...]) -> str:
    branches = (
        BRANCH.format(n=n, beyond=beyond.format(n=n))
        for n, beyond in enumerate(beyonds)
    )
    return TAKE.format(branches=" UNION ALL ".join(branches))


def _array(items: Iterable[object]) -> str:
    return f"{{{','.join(map(str, items))}}}"


def _fenced(worker_id: UUID, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "worker": worker_id,
        "ids": _array(o.id.hex for o in outcomes),
        "attempts": _array(o.attempt for o in outcomes),
        "states": _array(o.state for o in outcomes),
        "results": f"[{','.join(o.result or 'null' for o in outcomes)}]",
        "records": json.dumps([o.record for o in outcomes]),
        "failed": _array(o.failed for o in outcomes),
        "delays": _array(o.delay for o in outcomes),
        "durations": _array(
            "NULL" if o.duration is None else o.duration for o in outcomes
        ),
    }
