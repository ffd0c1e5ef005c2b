"""Unique jobs on PostgreSQL, and their statements.

A conflict waits for the transaction that has the key. What that one committed is not in
the snapshot of the statement, which then finds nothing, and is made once more.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from dbqueue.dialects import placing, rows
from dbqueue.dialects.columns import NewJob, inserted, listed
from dbqueue.dialects.placing import COOLING, HAS_KEY, TOLD, Placed, Rule
from dbqueue.dialects.postgresql import inserts, params
from dbqueue.dialects.postgresql.inserts import DUE, LATER, STATE
from dbqueue.dialects.postgresql.moves import PostgreSQLMoves
from dbqueue.dialects.statements import ENTRY, names_of, with_more

_NOW = "statement_timestamp()"
_AT = f"coalesce(%(at)s::timestamptz, {_NOW})"
_KEYS = "= ANY(ARRAY(SELECT json_array_elements_text(%(keys)s::json)))"
_NEVER = "NULL::jsonb, NULL::timestamptz"  # a result, and the moment of an end
_OF_HOT = f"{listed(placing.OF_BOTH)}, {_NEVER}"
_OF_HISTORY = listed(TOLD)


def _ago(name: str) -> str:
    return f"{_NOW} - %({name})s::float8 * interval '1 second'"


_COOLING = COOLING.format(key="%(key)s", since=_ago("cooldown"))
_LATEST = f"SELECT {_OF_HISTORY} {_COOLING} ORDER BY finished_at DESC LIMIT 1"
_IS_KNOWN = "EXISTS (SELECT 1 FROM dbqueue_finishedjob WHERE id = %(id)s)"
_IS_THERE = "EXISTS (SELECT 1 FROM dbqueue_job WHERE id = %(id)s)"
_AS_LATE = """least(excluded.run_after, dbqueue_job.enqueued_at
    + %(max_wait)s::float8 * interval '1 second')"""
_REPLACE = f"""{placing.conflict(placing.replacement(_AS_LATE, _NOW))}
    WHERE NOT (dbqueue_job.state = 'RUNNING')"""
_SKIP = placing.conflict(None)
# The key, and an id that was chosen.
_SKIP_BOTH = "ON CONFLICT DO NOTHING"

_GRANT = f"""
INSERT INTO dbqueue_throttle AS t (key, job_id, expires_at)
{{rows}}
ON CONFLICT (key)
    DO UPDATE SET job_id = excluded.job_id, expires_at = excluded.expires_at
    WHERE t.expires_at <= {_NOW}
RETURNING key
"""
GRANT_MANY = _GRANT.format(
    rows=f"""SELECT key, id, {LATER.format("throttle")}
    FROM ROWS FROM (unnest(%(ids)s::uuid[]), json_array_elements_text(%(keys)s::json))
        AS n(id, key)
    ORDER BY key COLLATE "C" """
)

STANDING = f"""
SELECT unique_key, {_OF_HOT} FROM dbqueue_job WHERE unique_key {_KEYS} AND {HAS_KEY}
"""
COOLING_MANY = f"""
SELECT DISTINCT ON (unique_key) unique_key, {_OF_HISTORY}
{
    COOLING.format(
        key="ANY(ARRAY(SELECT json_array_elements_text(%(keys)s::json)))",
        since=_ago("cooldown"),
    )
}
ORDER BY unique_key, finished_at DESC
"""
THROTTLED = placing.of_throttle(_KEYS, _NOW)

# While we have the key, no other job ends with it: who did before is seen now.
TOO_SOON = f"""
DELETE FROM dbqueue_job AS j
WHERE j.id = ANY(%(ids)s::uuid[])
    AND EXISTS (SELECT 1 {COOLING.format(key="j.unique_key", since=_ago("cooldown"))})
RETURNING j.unique_key
"""


@lru_cache
def place(more: tuple[str, ...], entry: str, rule: Rule, *, once: bool) -> str:
    """Return the statement that writes a job, or tells which one stands."""
    values = inserted(**inserts.NEW, state=STATE.format(f"'{entry}'"), run_after=DUE)
    extra = [] if rule.throttle else ["unique_key", "unique_until"]
    given = [
        with_more(values, more, LATER),
        *(["%(key)s", "%(until)s"] if extra else []),
    ]
    if once:
        extra, given = [*extra, "once"], [*given, "true"]
    guards, source = _guards(rule, once=once), ""
    grant = ""
    if rule.throttle:
        row = f"SELECT %(key)s, %(id)s::uuid, {LATER.format('throttle')} {guards}"
        grant, guards, source = (
            f"granted AS ({_GRANT.format(rows=row)}), ",
            "",
            "granted",
        )
    resolve = _REPLACE if rule.replaces else _SKIP_BOTH if once else _SKIP
    answers = [f"SELECT id = %(id)s::uuid, {listed(TOLD)} FROM new"]
    answers += (
        f"SELECT false, told.* FROM ({question}) AS told "
        "WHERE NOT EXISTS (SELECT 1 FROM new)"
        for question in _questions(rule, once=once)
    )
    return f"""
WITH {grant}new AS (
    INSERT INTO dbqueue_job ({listed((*names_of(more), *extra))})
    SELECT {", ".join(given)} {f"FROM {source}" if source else ""} {guards}
    {resolve}
    RETURNING {listed(placing.OF_BOTH)}, NULL::jsonb AS result,
        NULL::timestamptz AS finished_at
)
{" UNION ALL ".join(answers)}
"""


@lru_cache
def place_many(same: tuple[str, ...], of_each: tuple[str, ...], rule: Rule) -> str:
    """Return the statement that writes those of many jobs whose keys are free."""
    entry = "'BLOCKED'" if "lane" in same else "'READY'"
    state = STATE.format(ENTRY.format("n.") if "lane" in of_each else entry)
    own = inserts.NEW | inserts.OF_EACH | {"enqueued_at": _AT}
    values = inserted(**own, state=state, run_after=DUE)
    names = (*of_each, *(() if rule.throttle else ("unique_key",)))
    given = [with_more(values, same, LATER), *(f"n.{name}" for name in names)]
    if not rule.throttle:
        given.append("%(until)s")
    lists = [f"json_array_elements_text(%({n})s::json)" for n in (*of_each, "keys")]
    since = _ago("cooldown")
    cooling = COOLING.format(key="n.unique_key", since=since)
    guard = f"WHERE NOT EXISTS (SELECT 1 {cooling})" if rule.cooldown else ""
    until = () if rule.throttle else ("unique_until",)
    resolve = _REPLACE if rule.replaces else _SKIP
    return f"""
INSERT INTO dbqueue_job ({listed((*names_of(same), *names, *until))})
SELECT {", ".join(given)}
FROM ROWS FROM (unnest(%(ids)s::uuid[]), json_array_elements(%(args)s::json),
    json_array_elements(%(kwargs)s::json), {", ".join(lists)})
    AS n({listed(("id", "args", "kwargs", *of_each, "unique_key"))})
{guard}
ORDER BY n.unique_key COLLATE "C"
{resolve}
RETURNING id, unique_key, enqueued_at, run_after
"""


def _guards(rule: Rule, *, once: bool) -> str:
    """Return the condition under which a job may be written at all."""
    refusals = []
    if once:
        refusals.append(_IS_KNOWN)
    if once and (rule.replaces or rule.throttle):
        refusals.append(_IS_THERE)
    if rule.cooldown:
        refusals.append(f"EXISTS (SELECT 1 {_COOLING})")
    return "".join(
        f" {'AND' if place else 'WHERE'} NOT {refusal}"
        for place, refusal in enumerate(refusals)
    )


def _questions(rule: Rule, *, once: bool) -> list[str]:
    """Return the questions for the job that may stand in the way, by preference."""
    asked = []
    if once:
        asked += [
            f"SELECT {_OF_HOT} FROM dbqueue_job WHERE id = %(id)s",
            f"SELECT {_OF_HISTORY} FROM dbqueue_finishedjob WHERE id = %(id)s",
        ]
    if rule.throttle:
        of_key = placing.of_throttle("= %(key)s", _NOW).replace("t.key, ", "", 1)
        return [*asked, of_key]
    asked.append(
        f"SELECT {_OF_HOT} FROM dbqueue_job WHERE unique_key = %(key)s AND {HAS_KEY}"
    )
    return [*asked, _LATEST] if rule.cooldown else asked


class PostgreSQLPlacing(PostgreSQLMoves):
    def values_of(self, job: NewJob) -> dict[str, Any]:
        """Return the parameters for a job that is written."""
        raise NotImplementedError

    def _placed(
        self, job: NewJob, key: str, rule: Rule, *, once: bool
    ) -> Placed | None:
        more = dict(job.more or {})
        sql = place(tuple(more), rows.entry(more), rule, once=once)
        values = self.values_of(job) | more | _of_rule(rule) | {"key": key}
        if rule.cooldown is None:
            return _answer(self._rows(sql, values))
        with self.one_commit():
            placed = _answer(self._rows(sql, values))
            is_too_soon = (
                placed and placed.is_new and self._too_soon([job.id.hex], rule)
            )
        return None if is_too_soon else placed

    def _placed_many(
        self,
        job: NewJob,
        calls: rows.Calls,
        keys: Sequence[str | None],
        rule: Rule,
        at: datetime | None,
    ) -> tuple[rows.Written | None, set[str]]:
        if rule.throttle:
            calls, keys = self._granted(calls, keys, rule)
        values = self.values_of(job) | params.calls(calls) | _of_rule(rule)
        values |= {"keys": json.dumps(keys), "at": at, **(job.more or {})}
        sql = place_many(tuple(job.more or ()), tuple(calls.more), rule)
        found = self._rows(sql, values) if calls.ids else []
        own = dict(zip(calls.ids, keys, strict=True))
        new = [row for row in found if row[0].hex in own]
        taken = {key for row in new if (key := own[row[0].hex]) is not None}
        if rule.cooldown is not None:
            taken -= self._too_soon([row[0].hex for row in new], rule)
        return rows.Written.at(job, *new[0][2:]) if new else None, taken

    def _standing(self, keys: Sequence[str], rule: Rule) -> dict[str, dict[str, Any]]:
        values = {"keys": json.dumps(keys)} | _of_rule(rule)
        found = self._rows(THROTTLED if rule.throttle else STANDING, values)
        if rule.cooldown:
            found = [*self._rows(COOLING_MANY, values), *found]
        return {key: placing.told(told) for key, *told in found}

    def _granted(
        self, calls: rows.Calls, keys: Sequence[str | None], rule: Rule
    ) -> tuple[rows.Calls, list[str | None]]:
        """Return what is not throttled, whose periods begin now."""
        asked = [place for place, key in enumerate(keys) if key is not None]
        values = {
            "ids": params.array(calls.ids[place] for place in asked),
            "keys": json.dumps([keys[place] for place in asked]),
        }
        granted = {k for (k,) in self._rows(GRANT_MANY, values | _of_rule(rule))}
        left = [p for p, key in enumerate(keys) if key is None or key in granted]
        return calls.of(left), [keys[place] for place in left]

    def _too_soon(self, ids: Sequence[str], rule: Rule) -> set[str]:
        values = {"ids": params.array(ids)} | _of_rule(rule)
        return {key for (key,) in self._rows(TOO_SOON, values)}


def _of_rule(rule: Rule) -> dict[str, Any]:
    names = "until", "max_wait", "throttle", "cooldown"
    return {name: getattr(rule, name) for name in names}


def _answer(found: Sequence[tuple[Any, ...]]) -> Placed | None:
    for is_new, *values in found:
        return Placed(is_new, placing.told(values))
    return None
