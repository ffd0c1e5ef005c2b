"""The moves of PostgreSQL that are asked for from outside a worker."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import Error

from dbqueue.dialects import columns, moves
from dbqueue.dialects.columns import listed
from dbqueue.dialects.listener import NullListener
from dbqueue.dialects.moves import (
    CHANGES,
    DUE_STATE,
    KEY_AGAIN,
    REVIVED,
    TOLD,
    WAITING,
    quoted,
)
from dbqueue.dialects.postgresql import params
from dbqueue.dialects.postgresql.rare import PostgreSQLRareMoves
from dbqueue.dialects.postgresql.statements import PING, TELL_WHO_WAITS, logged
from dbqueue.dialects.rows import MovedJob

logger = logging.getLogger(__name__)

_NOW = "statement_timestamp()"
_DUE = f"""coalesce(%(moment)s::timestamptz,
    {_NOW} + %(seconds)s::float8 * interval '1 second')"""

# In order: of two that lock the same jobs, one waits for the other.
_PICKED = """picked AS MATERIALIZED (
    SELECT {what} FROM {table}
    WHERE id = ANY(%(ids)s::uuid[]) {{states}}
    ORDER BY id FOR UPDATE {{locked}}
)"""
_WAITING = _PICKED.format(what="id", table="dbqueue_job").replace(
    "{states}", "AND state IN ({states})"
)
_THOSE = "id = ANY(ARRAY(SELECT id FROM picked))"
_FINISHED = _PICKED.format(what="*", table="dbqueue_finishedjob").format(
    states="", locked=""
)

CHANGE = f"""
WITH {_WAITING}
UPDATE dbqueue_job SET {{changes}} WHERE {_THOSE} RETURNING {TOLD}
"""

_HISTORY = listed(columns.CARRIED + columns.JSON)
_ENTRY = "%(record)s::jsonb || jsonb_build_object('attempt', attempt)"

WITHDRAW = f"""
WITH {_WAITING.replace("{states}", quoted(WAITING))}
, gone AS (
    DELETE FROM dbqueue_job WHERE {_THOSE} RETURNING *, {TELL_WHO_WAITS}
)
, kept AS (
    INSERT INTO dbqueue_finishedjob ({_HISTORY}, state, failures, attempt_log,
                                     finished_at)
    SELECT {_HISTORY}, 'CANCELLED', failures, {logged("attempt_log", _ENTRY)}, {_NOW}
    FROM gone
    ON CONFLICT (id) DO NOTHING
)
SELECT {TOLD.replace("state", "'CANCELLED'")} FROM gone
"""

# An attempt that succeeded has had no entry; without one, the next would hide it.
_SUCCESS = """jsonb_build_object(
    'attempt', attempt, 'worker', worker_id, 'reason', 'successful')"""
_LIVED = f"""CASE WHEN state = 'SUCCESSFUL' THEN {logged("attempt_log", _SUCCESS)}
    ELSE attempt_log END"""
_LOG = f"""CASE WHEN jsonb_typeof({_LIVED} -> -1) = 'object'
    THEN jsonb_set({_LIVED}, '{{-1,retried_at}}', to_jsonb({_NOW}))
    ELSE {_LIVED} END"""

# By key, as whoever enqueues many: an equal key elsewhere is waited for.
REVIVE = f"""
WITH {_FINISHED}
, back AS (
    INSERT INTO dbqueue_job ({listed(REVIVED)}, unique_key, state, failures,
    attempt_log, run_after)
    SELECT {listed(REVIVED)}, {KEY_AGAIN}, {DUE_STATE}, 0, {_LOG}, {_NOW}
    FROM picked ORDER BY unique_key COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING {TOLD}
)
, gone AS (
    DELETE FROM dbqueue_finishedjob WHERE id = ANY(ARRAY(SELECT id FROM back))
)
SELECT {TOLD} FROM back
"""

ERASE = f"""
WITH {_FINISHED}
DELETE FROM dbqueue_finishedjob WHERE {_THOSE} RETURNING {TOLD}
"""


class PostgreSQLMoves(PostgreSQLRareMoves):
    def change(
        self, move: str, ids: Sequence[UUID], value: Any = None, *, wait: bool = True
    ) -> list[MovedJob]:
        states, changes = CHANGES[move]
        sql = CHANGE.format(
            states=quoted(states),
            locked=_locked(wait),
            changes=changes.format(now=_NOW, due=_DUE),
        )
        is_moment = isinstance(value, datetime)
        values = {
            "ids": params.ids(ids),
            "value": value,
            "moment": value if is_moment else None,
            "seconds": None if is_moment else value,
        }
        return self._moved(sql, values)

    def withdraw(
        self, ids: Sequence[UUID], record: dict[str, Any], *, wait: bool = True
    ) -> list[MovedJob]:
        values = {"ids": params.ids(ids), "record": json.dumps(record)}
        return self._moved(WITHDRAW.format(locked=_locked(wait)), values)

    def revive(self, ids: Sequence[UUID]) -> list[MovedJob]:
        return self._moved(REVIVE, {"ids": params.ids(ids)})

    def erase(self, ids: Sequence[UUID]) -> list[MovedJob]:
        return self._moved(ERASE, {"ids": params.ids(ids)})

    def end_listener(self) -> NullListener:
        # Not at the top: it needs psycopg, which projects on SQLite do without.
        from dbqueue.dialects.postgresql.listener import EndListener

        return EndListener(self.alias)

    def listener_for(self, channel: str) -> NullListener:
        if not self.can_notify:
            return NullListener()
        from dbqueue.dialects.postgresql.listener import PostgreSQLListener

        return PostgreSQLListener(self.alias, channel)

    def tell(self, channel: str, text: str) -> None:
        if not self.can_notify:
            return
        connection = self.connection
        try:
            connection.ensure_connection()
            # The bare cursor, as in notify().
            with connection.wrap_database_errors:
                connection.connection.execute(PING, [channel, text])
        except Error as error:
            logger.debug("Nobody was told channel=%s error=%s", channel, error)

    def exceptions(self) -> list[str]:
        return [path for (path,) in self._rows(moves.EXCEPTIONS, {})]

    def _moved(self, sql: str, values: dict[str, Any]) -> list[MovedJob]:
        return [MovedJob(*row) for row in self._rows(sql, values)]


def _locked(wait: bool) -> str:
    return "" if wait else "SKIP LOCKED"
