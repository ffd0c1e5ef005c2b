"""Unique jobs on SQLite, and their statements: its one writer meets no other commit."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from dbqueue.dialects import columns, placing, rows
from dbqueue.dialects.columns import NewJob, inserted, listed
from dbqueue.dialects.placing import COOLING, HAS_KEY, Placed, Rule
from dbqueue.dialects.sqlite.inserts import NEW, OF_EACH, SQLiteInserts
from dbqueue.dialects.sqlite.rare import as_id
from dbqueue.dialects.statements import names_of, with_more

_KEYS = "IN (SELECT value FROM json_each(%(keys)s))"
# A bare column of a date is converted by Python's SQLite, which raises for one damaged.
_AS_TEXT = "coalesce({}, NULL)"
_TOLD = ", ".join(map(_AS_TEXT.format, placing.OF_BOTH))
_OF_HOT = f"{_TOLD}, NULL, NULL"
_OF_HISTORY = ", ".join(map(_AS_TEXT.format, placing.TOLD))
_COOLING = COOLING.format(key="{}", since="%(cooled)s")
_IS_KNOWN = "EXISTS (SELECT 1 FROM dbqueue_finishedjob WHERE id = %(id)s)"
_IS_THERE = "EXISTS (SELECT 1 FROM dbqueue_job WHERE id = %(id)s)"
# What is compared are texts; milliseconds are exact enough to wait by.
_AS_LATE = """min(excluded.run_after, coalesce(strftime('%%Y-%%m-%%d %%H:%%M:%%f',
    dbqueue_job.enqueued_at, %(max_wait)s), excluded.run_after))"""
_REPLACE = f"""{placing.conflict(placing.replacement(_AS_LATE, "%(now)s"))}
    WHERE NOT (dbqueue_job.state = 'RUNNING')"""
# Of the one that stands, RETURNING tells only if something is done to it.
_TELL = placing.conflict("unique_key = excluded.unique_key")
_SKIP = placing.conflict(None)

GRANT = """
INSERT INTO dbqueue_throttle (key, job_id, expires_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), %(throttled)s
FROM json_each(%(grants)s) WHERE true
ON CONFLICT (key)
    DO UPDATE SET job_id = excluded.job_id, expires_at = excluded.expires_at
    WHERE dbqueue_throttle.expires_at <= %(now)s
RETURNING key
"""

STANDING = f"""
SELECT unique_key, {_OF_HOT} FROM dbqueue_job WHERE unique_key {_KEYS} AND {HAS_KEY}
"""
# The latest end is the one whose columns come beside max(), says SQLite.
COOLING_MANY = f"""
SELECT unique_key, {_OF_HISTORY} FROM (
    SELECT f.*, max(finished_at) {_COOLING.format("f.unique_key")}
        AND f.unique_key {_KEYS} GROUP BY unique_key)
"""
THROTTLED = placing.of_throttle(_KEYS, "%(now)s", _AS_TEXT)
BY_ID = (
    f"SELECT {_OF_HOT} FROM dbqueue_job WHERE id = %(id)s",
    f"SELECT {_OF_HISTORY} FROM dbqueue_finishedjob WHERE id = %(id)s",
)


@lru_cache
def place(more: tuple[str, ...], rule: Rule, *, once: bool) -> str:
    """Return the statement that writes a job, or tells which one stands."""
    extra = [] if rule.throttle else ["unique_key", "unique_until"]
    given = [with_more(inserted(**NEW), more)]
    given += ["%(key)s", "%(until)s"] if extra else []
    guards, resolve = ["true"], _REPLACE if rule.replaces else _TELL
    if once:
        extra, given = [*extra, "once"], [*given, "true"]
        guards += [f"NOT {_IS_KNOWN}", f"NOT {_IS_THERE}"]
    if rule.cooldown:
        guards.append(f"NOT EXISTS (SELECT 1 {_COOLING.format('%(key)s')})")
    return f"""
INSERT INTO dbqueue_job ({listed((*names_of(more), *extra))})
SELECT {", ".join(given)} WHERE {" AND ".join(guards)}
{"" if rule.throttle else resolve}
RETURNING {_OF_HOT}
"""


@lru_cache
def place_many(same: tuple[str, ...], of_each: tuple[str, ...], rule: Rule) -> str:
    """Return the statement that writes those of many jobs whose keys are free."""
    names = (*of_each, *(() if rule.throttle else ("unique_key",)))
    each = {name: f"json_extract(value, '$[{n}]')" for n, name in enumerate(names, 3)}
    state = "%(state)s"
    if "lane" in each:
        state = f"""CASE WHEN %(state)s = 'READY' AND {each["lane"]} IS NOT NULL
            THEN 'BLOCKED' ELSE %(state)s END"""
    values = inserted(**NEW, **OF_EACH, state=state)
    given = [with_more(values, same), *each.values()]
    extra = []
    if not rule.throttle:
        given, extra = [*given, "%(until)s"], ["unique_until"]
    guard = ""
    if rule.cooldown:
        guard = f"AND NOT EXISTS (SELECT 1 {_COOLING.format(each['unique_key'])})"
    resolve = _REPLACE if rule.replaces else _SKIP
    return f"""
INSERT INTO dbqueue_job ({listed((*names_of(same), *names, *extra))})
SELECT {", ".join(given)} FROM json_each(%(jobs)s) WHERE true {guard}
{"" if rule.throttle else resolve}
RETURNING id
"""


class SQLitePlacing(SQLiteInserts):
    def _placed(
        self, job: NewJob, key: str, rule: Rule, *, once: bool
    ) -> Placed | None:
        more, written = job.more or {}, rows.Written.now(job)
        sql = place(tuple(more), rule, once=once)
        if not rule.throttle:
            values = self._params(job, written) | self._of_rule(rule) | {"key": key}
            return self._answer(job, sql, key, rule, values)
        with self.one_commit():
            values = self._params(job, written) | self._of_rule(rule) | {"key": key}
            free = not once or not self._by_id(values)
            if free and not self._rows(
                GRANT, values | {"grants": json.dumps([[key, job.id.hex]])}
            ):
                return Placed(False, self._standing([key], rule)[key])
            return self._answer(job, sql, key, rule, values)

    def _answer(
        self, job: NewJob, sql: str, key: str, rule: Rule, values: dict[str, Any]
    ) -> Placed | None:
        for row in self._rows(sql, values):
            told = self._told(row)
            return Placed(told["id"] == job.id, told)
        for row in self._by_id(values):
            return Placed(False, self._told(row))
        found = self._standing([key], rule)
        return Placed(False, found[key]) if key in found else None

    def _by_id(self, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        found = (self._rows(question, {"id": values["id"]}) for question in BY_ID)
        return next(filter(None, found), [])

    def _placed_many(
        self,
        job: NewJob,
        calls: rows.Calls,
        keys: Sequence[str | None],
        rule: Rule,
        at: datetime | None,
    ) -> tuple[rows.Written | None, set[str]]:
        written = rows.Written.now(job)
        if at is not None:
            written = written._replace(enqueued_at=at)
        values = self._params(job, written) | self._of_rule(rule)
        if rule.throttle:
            grants = [[key, id] for key, id in zip(keys, calls.ids, strict=True) if key]
            granted = {
                key
                for (key,) in self._rows(GRANT, values | {"grants": json.dumps(grants)})
            }
            left = [p for p, key in enumerate(keys) if key is None or key in granted]
            calls, keys = calls.of(left), [keys[place] for place in left]
        lists = (*calls[:3], *calls.more.values(), keys)
        values["jobs"] = json.dumps(list(zip(*lists, strict=True)))
        sql = place_many(tuple(job.more or ()), tuple(calls.more), rule)
        new = {id for (id,) in self._rows(sql, values)}
        own = zip(calls.ids, keys, strict=True)
        return written, {key for id, key in own if id in new and key is not None}

    def _standing(self, keys: Sequence[str], rule: Rule) -> dict[str, dict[str, Any]]:
        values = {"keys": json.dumps(keys)} | self._of_rule(rule)
        values["now"] = self._times.now()
        found = self._rows(THROTTLED if rule.throttle else STANDING, values)
        if rule.cooldown:
            found = [*self._rows(COOLING_MANY, values), *found]
        return {key: self._told(told) for key, *told in found}

    def _told(self, values: Sequence[Any]) -> dict[str, Any]:
        told = placing.told(values)
        for name in (*columns.MOMENTS, "finished_at"):
            told[name] = self._times.read(told[name])
        for name in ("id", "worker_id", "retry_of"):
            told[name] = None if told[name] is None else as_id(told[name])
        return told

    def _of_rule(self, rule: Rule) -> dict[str, Any]:
        wait = rule.max_wait
        return {
            "until": rule.until,
            "max_wait": None if wait is None else f"+{wait:.3f} seconds",
            "throttled": self._times.now(rule.throttle or 0.0),
            "cooled": self._times.now(-(rule.cooldown or 0.0)),
        }
