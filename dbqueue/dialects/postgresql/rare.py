"""The rare moves of PostgreSQL, and their statements."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import Error

from dbqueue.dialects import columns, rows
from dbqueue.dialects.base import Dialect
from dbqueue.dialects.bounds import COUNT
from dbqueue.dialects.columns import ClaimedJob, NewJob, as_object, listed
from dbqueue.dialects.postgresql import moments, params, statements
from dbqueue.dialects.postgresql.cursors import OwnSession, makes_plain_cursors
from dbqueue.dialects.rare import Losses, NextDue
from dbqueue.dialects.rows import QueueCount, Request
from dbqueue.dialects.statements import ENTRY, LOSSES, PARKED, QUEUE_COUNTS

_OF_THOSE_HELD = """FROM dbqueue_job
WHERE id = ANY(%(ids)s::uuid[]) AND worker_id = %(worker)s AND state = 'RUNNING'"""
_WEIGHT = " + ".join(f"octet_length({name}::text)" for name in columns.LARGE)

WEIGHTS = f"SELECT id, {_WEIGHT} {_OF_THOSE_HELD}"
REQUESTS = """SELECT id, coalesce(cancelled_by, ''), coalesce(cancel_reason, '')
FROM dbqueue_job WHERE id = ANY(%(ids)s::uuid[]) AND cancelled_at IS NOT NULL"""
LOAD = f"SELECT id, {listed(columns.LARGE)} {_OF_THOSE_HELD}"

# Of a claim with no room for large columns. What is stored in more bytes is not read.
LIGHT = "".join(
    f""" AND (pg_column_size({name}) < 256
        OR pg_column_size({name}) <= {columns.MOST_CLAIMED}
        AND octet_length({name}::text) <= {columns.MOST_CLAIMED})"""
    for name in columns.LARGE
)

_UNTOUCHED = tuple(name for name in columns.CARRIED if name not in columns.MOMENTS)
_MOMENTS = ", ".join(
    f"CASE WHEN {name} IS NULL OR {name} BETWEEN '0001-01-02' AND '9999-12-30'"
    f" THEN {name} ELSE statement_timestamp() END"
    for name in columns.MOMENTS
)

SET_ASIDE = f"""
WITH gone AS (
    DELETE FROM dbqueue_job WHERE id = (
        SELECT id FROM dbqueue_job
        WHERE id = %(id)s AND (state <> 'RUNNING' OR worker_id = %(worker)s)
        FOR UPDATE SKIP LOCKED)
    RETURNING *, {statements.TELL_WHO_WAITS}
)
INSERT INTO dbqueue_finishedjob ({listed(_UNTOUCHED)}, {listed(columns.MOMENTS)},
    {listed(columns.JSON)}, state, failures, attempt_log, exception, finished_at)
SELECT {listed(_UNTOUCHED)}, {_MOMENTS}, {listed(columns.JSON)}, 'FAILED', failures,
    jsonb_build_array(%(record)s::jsonb),
    {statements.RAISED.format(record="%(record)s::jsonb")}, statement_timestamp()
FROM gone
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

_OF_EACH = dict.fromkeys(columns.INSERTED) | {
    "state": "'READY'",
    "attempt": "0",
    "failures": "0",
    "attempt_log": "'[]'",
    "enqueued_at": "statement_timestamp()",
}
# The columns of the table say of what types the values are.
INSERT_DUE = f"""
INSERT INTO dbqueue_job ({listed(columns.INSERTED)}, once)
SELECT {", ".join(value or name for name, value in _OF_EACH.items())}, true
FROM jsonb_populate_recordset(NULL::dbqueue_job, %(jobs)s::jsonb) AS n
WHERE NOT EXISTS (SELECT 1 FROM dbqueue_finishedjob AS f WHERE f.id = n.id)
ON CONFLICT DO NOTHING
"""

# What no due time promotes. The second is what Python cannot hold.
_LAME = """state = 'SCHEDULED' AND (run_after IS NULL
    OR run_after > '9999-12-31 23:59:59.999999+00' OR run_after = '-infinity')"""
_HELD_BY_NOBODY = "state = 'RUNNING' AND worker_id IS NULL"
IS_LAME = f"""
SELECT EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'SCHEDULED'
               AND run_after IS NULL)
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'SCHEDULED'
               AND run_after > '9999-12-31 23:59:59.999999+00')
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'SCHEDULED'
               AND run_after = '-infinity')
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE {_HELD_BY_NOBODY}),
    {LOSSES.format(now="statement_timestamp()")}
"""
HEAL = (
    f"UPDATE dbqueue_job SET state = {ENTRY.format('')} WHERE {_LAME}",
    # A worker that there is not: it is rescued as after any other.
    f"UPDATE dbqueue_job SET worker_id = %(nobody)s WHERE {_HELD_BY_NOBODY}",
)

# By their names, and nothing else of the project's: two numbers make the lock's name.
LOCK_QUEUES = """
SELECT name, current_setting('transaction_isolation')
FROM unnest(%(names)s::text[]) AS queues(name)
WHERE pg_try_advisory_xact_lock('dbqueue_job'::regclass::oid::int, hashtext(name))
"""
COUNT_RUNNING = COUNT.format(among="= ANY(%(names)s::text[])")

# Data, integrity, external routines, a view's check, limits of the program, PL/pgSQL,
# and damaged pages: the values are to blame, and not the server or the schema.
REFUSALS = ("22", "23", "38", "39", "44", "54", "P0")
FALLS = ("XX000", "53200")  # an internal error, out of memory
DAMAGED_PAGES = ("XX001", "XX002")


# Whoever holds the horizon of vacuum for so long; our own session is not among them.
PINS = """
SELECT pid, concat_ws(', ', nullif(application_name, ''), usename, client_addr::text),
    extract(epoch FROM now() - xact_start)::float8
FROM pg_stat_activity
WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    AND xact_start < now() - %s * interval '1 second' AND backend_type <> 'walsender'
    AND datname = current_database()
ORDER BY age(backend_xmin) DESC LIMIT 3
"""


class PostgreSQLRareMoves(Dialect):
    _own: OwnSession

    def pins(self, seconds: float) -> list[rows.Pin]:
        return [rows.Pin(*row) for row in self._shown(PINS, [seconds])]

    def park(self, worker_id: UUID, ids: Sequence[UUID]) -> None:
        sql = PARKED.format(among="= ANY(%(ids)s::uuid[])")
        self._run(sql, params.held(worker_id, ids))

    def weights(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, int]:
        return dict(self._rows(WEIGHTS, params.held(worker_id, ids)))

    def load(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
        found = self._rows(LOAD, params.held(worker_id, ids))
        return {id: texts for id, *texts in found}

    def as_due(self, job: NewJob) -> str:
        return as_object(job, run_after=job.run_after)

    def insert_due(self, jobs: Sequence[str]) -> None:
        self._run(INSERT_DUE, {"jobs": f"[{','.join(jobs)}]"})

    def requests(self, ids: Sequence[UUID]) -> dict[UUID, Request]:
        found = self._rows(REQUESTS, {"ids": params.ids(ids)})
        return {id: Request(*said) for id, *said in found}

    def take_one(self, worker_id: UUID, id: UUID) -> list[ClaimedJob]:
        values = {"id": id, "worker": worker_id, "limit": 1}
        found = self._rows(statements.TAKE_ONE, values)
        return moments.examined([ClaimedJob(*row) for row in found])

    def set_aside(self, id: UUID, worker_id: UUID, record: dict[str, Any]) -> bool:
        values = {"id": id, "worker": worker_id, "record": json.dumps(record)}
        return bool(self._rows(SET_ASIDE, values))

    def places(self, bounds: Mapping[str, int]) -> dict[str, int]:
        names = list(bounds)
        locked = dict(self._rows(LOCK_QUEUES, {"names": names}))
        if not set(locked.values()) <= {"read committed"}:
            # It would not see what others have claimed since it began.
            self.gates_alone = True
            return {}
        running = dict(self._rows(COUNT_RUNNING, {"names": list(locked)}))
        return {name: bounds[name] - running.get(name, 0) for name in locked}

    def next_due(self) -> NextDue:
        return NextDue(*self._rows(statements.NEXT_DUE, {})[0])

    def queue_counts(self, most: int) -> list[QueueCount]:
        sql = QUEUE_COUNTS.format(age=statements.AGE)
        return [QueueCount(*row) for row in self._rows(sql, {"most": most})]

    def heal(self) -> Losses:
        ((is_lame, *lost),) = self._rows(IS_LAME, {})
        if not is_lame:
            return Losses(*lost)
        for statement in HEAL:
            self._run(statement, {"nobody": UUID(int=0)})
        return Losses()

    def may_fall_over(self, error: Error) -> bool:
        state, raw = params.sqlstate(error), self.connection.connection
        # Without a state, it is the connection that was lost: there was one.
        return state in FALLS or (state is None and raw is not None)

    def refuses(self, error: Exception) -> bool:
        state = params.sqlstate(error)
        if state is None:
            return super().refuses(error)
        return state[:2] in REFUSALS or state in DAMAGED_PAGES

    def execute_raw(self, sql: str, params: Sequence[Any]) -> None:
        # Django's cursors write values into the statement's text: for bytes that costs
        # fourteen times the processor time of sending them as they are.
        connection = self.connection
        connection.ensure_connection()
        connection.validate_no_broken_transaction()
        cursor: Any = getattr(connection, "Database").Cursor  # noqa: B009  as above
        with connection.wrap_database_errors, cursor(connection.connection) as sending:
            sending.execute(sql, params)

    def read_committed(self) -> None:
        connection = self.connection
        if self.gates_alone and not connection.savepoint_ids:
            self._run(statements.READ_COMMITTED, {})

    def limit_idling(self, seconds: float, *, local: bool = False) -> None:
        scope, milliseconds = "LOCAL" if local else "SESSION", int(seconds * 1000)
        sql = statements.LIMIT_IDLING
        self._run(sql.format(scope=scope, milliseconds=milliseconds), {})

    def prepare_session(
        self, *, idling: float, waiting: float, answering: float
    ) -> None:
        connection = self.connection
        moments.tolerate(connection)
        ((pid,),) = self._rows(statements.BACKEND_PID, {})
        # A pooler introduces itself as another process than the one that answers.
        if pid == connection.connection.info.backend_pid:
            self.limit_idling(idling)
            limits = {"waiting": waiting, "answering": answering}
            milliseconds = {name: int(limits[name] * 1000) for name in limits}
            self._rows(statements.LIMIT_ANSWERS, milliseconds)
            self._rows(statements.BY_INDEX, {})
            if makes_plain_cursors(connection):
                self._own.begin(connection)
