"""Jobs written to PostgreSQL: the statements, and what gives them their values."""

import json
from functools import lru_cache
from typing import Any

from dbqueue.dialects import columns, rows
from dbqueue.dialects.columns import WRITTEN, NewJob, inserted, listed
from dbqueue.dialects.postgresql.moves import PostgreSQLMoves
from dbqueue.dialects.statements import ENTRY, insert_once, with_more

_DUE = """coalesce(%(run_after)s::timestamptz,
    statement_timestamp() + %(delay)s::float8 * interval '1 second')"""
_STATE = f"CASE WHEN {_DUE} > statement_timestamp() THEN 'SCHEDULED' ELSE {{}} END"
_INSERT = f"INSERT INTO dbqueue_job ({listed(columns.INSERTED)})"
_NEW = {
    "attempt": "0",
    "failures": "0",
    "attempt_log": "'[]'",
    "enqueued_at": "statement_timestamp()",
}

# What most jobs are: ready at once, under an id that is new.
INSERT_READY = f"""
{_INSERT} VALUES ({inserted(**_NEW, state="'READY'", run_after="NULL")})
RETURNING enqueued_at
"""

_WRITTEN = "RETURNING state, enqueued_at, run_after"


@lru_cache
def _insert_with(more: tuple[str, ...], state: str, *, once: bool) -> str:
    """Return the INSERT of a job that may have more columns; `state` if it is due."""
    values = inserted(**_NEW, state=_STATE.format(f"'{state}'"), run_after=_DUE)
    if once:
        return f"{insert_once(values, more)} {_WRITTEN}"
    names = listed((*columns.INSERTED, *more))
    row = with_more(values, more)
    return f"INSERT INTO dbqueue_job ({names}) VALUES ({row}) {_WRITTEN}"


_OF_EACH = {"id": "n.id", "args": "n.args::jsonb", "kwargs": "n.kwargs::jsonb"}


# The values come as one text for each column: psycopg takes a microsecond for each item
# of a list.
@lru_cache
def _insert_many(same: tuple[str, ...], of_each: tuple[str, ...]) -> str:
    """Return the INSERT of many jobs; more columns are the same, or one of each."""
    entry = "'BLOCKED'" if "lane" in same else "'READY'"
    of_one = ENTRY.format("n.") if "lane" in of_each else entry
    values = inserted(**_NEW, **_OF_EACH, state=_STATE.format(of_one), run_after=_DUE)
    each = [f"n.{name}" for name in of_each]
    more = [f"json_array_elements_text(%({name})s::json)" for name in of_each]
    return f"""
WITH written AS (
INSERT INTO dbqueue_job ({listed((*columns.INSERTED, *same, *of_each))})
SELECT {", ".join((with_more(values, same), *each))}
FROM ROWS FROM ({
        ", ".join(
            (
                "unnest(%(ids)s::uuid[])",
                "json_array_elements(%(args)s::json)",
                "json_array_elements(%(kwargs)s::json)",
                *more,
            )
        )
    }) AS n({listed(("id", "args", "kwargs", *of_each))})
)
SELECT {_STATE.format(entry)}, statement_timestamp(), {_DUE}
"""


class PostgreSQLInserts(PostgreSQLMoves):
    def insert(self, job: NewJob, *, once: bool = False) -> rows.Written | None:
        more = job.more
        if job.run_after is None and job.delay is None and not once and not more:
            (enqueued_at,) = self._row(INSERT_READY, _params(job)) or ()
            return rows.Written("READY", enqueued_at, None)
        values = _params(job) | dict(more or {})
        sql = _insert_with(tuple(more or ()), rows.entry(more), once=once)
        row = self._row(sql, values)
        return rows.Written(*row) if row else None

    def insert_many(self, job: NewJob, calls: rows.Calls) -> rows.Written:
        values = _params(job) | {
            "ids": f"{{{','.join(calls.ids)}}}",
            "args": f"[{','.join(calls.args)}]",
            "kwargs": f"[{','.join(calls.kwargs)}]",
        }
        values |= {name: json.dumps(column) for name, column in calls.more.items()}
        values |= job.more or {}
        sql = _insert_many(tuple(job.more or ()), tuple(calls.more))
        return rows.Written(*self._rows(sql, values)[0])

    def _row(self, sql: str, params: dict[str, Any]) -> tuple[Any, ...] | None:
        with self._cursor(params) as cursor:
            cursor.execute(sql, params)
            row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def _params(job: NewJob) -> dict[str, Any]:
    return {name: getattr(job, name) for name in (*WRITTEN, "run_after", "delay")}
