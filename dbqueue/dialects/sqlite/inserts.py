"""Jobs written to SQLite: the statements, and what gives them their values."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from dbqueue.dialects import columns, rows
from dbqueue.dialects.columns import WRITTEN, NewJob, inserted, listed
from dbqueue.dialects.sqlite.moves import SQLiteMoves
from dbqueue.dialects.statements import insert_once, names_of, with_more

_INSERT = f"INSERT INTO dbqueue_job ({listed(columns.INSERTED)})"
NEW = {
    "attempt": "0",
    "failures": "0",
    "attempt_log": "'[]'",
    "enqueued_at": "%(now)s",
    "run_after": "%(due)s",
}

INSERT = f"{_INSERT} VALUES ({inserted(**NEW)})"

OF_EACH = {
    "id": "json_extract(value, '$[0]')",
    "args": "json_extract(value, '$[1]')",
    "kwargs": "json_extract(value, '$[2]')",
}

INSERT_MANY = f"""
{_INSERT}
SELECT {inserted(**NEW, **OF_EACH)}
FROM json_each(%(jobs)s)
"""


@lru_cache
def _insert_with(more: tuple[str, ...], *, once: bool) -> str:
    """Return the INSERT of a job that has more columns."""
    values = inserted(**NEW)
    if once:
        return insert_once(values, more)
    names = listed(names_of(more))
    return f"INSERT INTO dbqueue_job ({names}) VALUES ({with_more(values, more)})"


@lru_cache
def _insert_many_with(same: tuple[str, ...], of_each: tuple[str, ...]) -> str:
    """Return the INSERT of many that have more columns: the same, or one of each."""
    each = {name: f"json_extract(value, '$[{n}]')" for n, name in enumerate(of_each, 3)}
    state = "%(state)s"
    if "lane" in each:
        state = f"""CASE WHEN %(state)s = 'READY' AND {each["lane"]} IS NOT NULL
            THEN 'BLOCKED' ELSE %(state)s END"""
    values = inserted(**NEW, **OF_EACH, state=state)
    return f"""
INSERT INTO dbqueue_job ({listed((*names_of(same), *of_each))})
SELECT {", ".join((with_more(values, same), *each.values()))}
FROM json_each(%(jobs)s)
"""


class SQLiteInserts(SQLiteMoves):
    def insert(self, job: NewJob, *, once: bool = False) -> rows.Written | None:
        if job.rule is not None:
            return self.insert_unique(job, once=once)
        written = rows.Written.now(job)
        params = self._params(job, written)
        sql = INSERT
        if once or job.more:
            sql = _insert_with(tuple(job.more or ()), once=once)
        return written if self._run(sql, params) else None

    def insert_many(self, job: NewJob, calls: rows.Calls) -> rows.Written:
        written = rows.Written.now(job)
        params = self._params(job, written)
        sql = INSERT_MANY
        lists: tuple[Sequence[Any], ...] = calls[:3]
        if job.more or calls.more:
            lists = *lists, *calls.more.values()
            sql = _insert_many_with(tuple(job.more or ()), tuple(calls.more))
        params["jobs"] = json.dumps(list(zip(*lists, strict=True)))
        self._run(sql, params)
        return written

    def _params(self, job: NewJob, written: rows.Written) -> dict[str, Any]:
        due = written.run_after
        return {name: getattr(job, name) for name in WRITTEN} | {
            "id": job.id.hex,
            "state": written.state,
            "now": self._times.write(written.enqueued_at),
            "due": None if due is None else self._times.write(due),
            **self._more(job.more or {}, written.enqueued_at),
        }

    def _more(self, columns: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        given = dict(columns)
        if "expires_in" in given:
            given["expires_in"] = now + timedelta(seconds=given["expires_in"])
        return {
            name: self._times.write(value) if isinstance(value, datetime) else value
            for name, value in given.items()
        }
