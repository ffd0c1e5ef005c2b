"""The moves of SQLite that are asked for from outside a worker."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

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
from dbqueue.dialects.rows import MovedJob
from dbqueue.dialects.sqlite.rare import SQLiteRareMoves, as_id
from dbqueue.dialects.sqlite.statements import WHOLE, WHOLE_LOG, logged

_THOSE = "id IN (SELECT value FROM json_each(%(ids)s))"
_WAITING = f"{_THOSE} AND state IN ({quoted(WAITING)})"

CHANGE = f"""
UPDATE dbqueue_job SET {{changes}} WHERE {_THOSE} AND state IN ({{states}})
RETURNING {TOLD}
"""

_HISTORY = listed(columns.CARRIED + columns.JSON)
_ENTRY = "json_set(%(record)s, '$.attempt', attempt)"

WITHDRAW = f"""
INSERT INTO dbqueue_finishedjob ({_HISTORY}, state, failures, attempt_log, finished_at)
SELECT {listed(columns.CARRIED)}, {WHOLE}, 'CANCELLED', failures,
    {logged(WHOLE_LOG, _ENTRY)}, %(now)s
FROM dbqueue_job WHERE {_WAITING}
ON CONFLICT (id) DO NOTHING
"""
REMOVE_WAITING = f"""
DELETE FROM dbqueue_job WHERE {_WAITING}
RETURNING {TOLD.replace("state", "'CANCELLED'")}
"""

# See the same of PostgreSQL.
_SUCCESS = """json_object('attempt', attempt, 'worker',
    substr(worker_id, 1, 8) || '-' || substr(worker_id, 9, 4) || '-' ||
    substr(worker_id, 13, 4) || '-' || substr(worker_id, 17, 4) || '-' ||
    substr(worker_id, 21), 'reason', 'successful')"""
_LIVED = f"""CASE WHEN state = 'SUCCESSFUL' THEN {logged(WHOLE_LOG, _SUCCESS)}
    ELSE {WHOLE_LOG} END"""
_LOG = f"""CASE WHEN json_type({_LIVED}, '$[#-1]') = 'object'
    THEN json_set({_LIVED}, '$[#-1].retried_at', %(moment)s) ELSE {_LIVED} END"""

REVIVE = f"""
INSERT INTO dbqueue_job ({listed(REVIVED)}, unique_key, state, failures,
    attempt_log, run_after)
SELECT {listed(REVIVED)}, {KEY_AGAIN}, {DUE_STATE}, 0, {_LOG}, %(now)s
FROM dbqueue_finishedjob WHERE {_THOSE}
ON CONFLICT DO NOTHING
RETURNING {TOLD}
"""

ERASE = f"DELETE FROM dbqueue_finishedjob WHERE {_THOSE} RETURNING {TOLD}"


class SQLiteMoves(SQLiteRareMoves):
    def change(
        self, move: str, ids: Sequence[UUID], value: Any = None, *, wait: bool = True
    ) -> list[MovedJob]:
        states, changes = CHANGES[move]
        sql = CHANGE.format(
            states=quoted(states),
            changes=changes.format(now="%(now)s", due="%(due)s"),
        )
        with self.one_commit():
            values: dict[str, Any] = {"value": value, "now": self._times.now()}
            if move == "reschedule":
                is_moment = isinstance(value, datetime)
                write = self._times.write if is_moment else self._times.now
                values["due"] = write(value)
            return self._moved(sql, ids, values)

    def withdraw(
        self, ids: Sequence[UUID], record: dict[str, Any], *, wait: bool = True
    ) -> list[MovedJob]:
        values = {"record": json.dumps(record), "now": self._times.now()}
        with self.one_commit():
            self._run(WITHDRAW, values | {"ids": _ids(ids)})
            return self._moved(REMOVE_WAITING, ids, {})

    def revive(self, ids: Sequence[UUID]) -> list[MovedJob]:
        with self.one_commit():
            now = {"now": self._times.now(), "moment": timezone.now().isoformat()}
            back = self._moved(REVIVE, ids, now)
            self._moved(ERASE, [job.id for job in back], {})
        return back

    def erase(self, ids: Sequence[UUID]) -> list[MovedJob]:
        with self.one_commit():
            return self._moved(ERASE, ids, {})

    def listener_for(self, channel: str) -> NullListener:
        return self.listener()  # which hears of every commit

    def exceptions(self) -> list[str]:
        return [str(path) for (path,) in self._rows(moves.EXCEPTIONS, {})]

    def _moved(
        self, sql: str, ids: Sequence[UUID], values: dict[str, Any]
    ) -> list[MovedJob]:
        found = self._rows(sql, values | {"ids": _ids(ids)})
        return [MovedJob(as_id(id), *rest) for id, *rest in found]


def _ids(ids: Sequence[UUID]) -> str:
    return json.dumps([id.hex for id in ids])
