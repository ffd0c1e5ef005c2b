"""The rare moves of SQLite, and their statements.

SQLite keeps values of any type in any column, and text that is not what it should be.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from dbqueue.dialects import columns
from dbqueue.dialects.base import Dialect
from dbqueue.dialects.bounds import COUNT
from dbqueue.dialects.columns import ClaimedJob, NewJob, as_object, listed
from dbqueue.dialects.rare import Losses, NextDue
from dbqueue.dialects.rows import QueueCount, Request
from dbqueue.dialects.sqlite import statements
from dbqueue.dialects.sqlite.timestamps import IS_MOMENT, Timestamps
from dbqueue.dialects.statements import ENTRY, LOSSES, PARKED, QUEUE_COUNTS
from dbqueue.ids import uuid7

_OF_THOSE_HELD = """FROM dbqueue_job
WHERE id IN (SELECT value FROM json_each(%(ids)s))
  AND worker_id = %(worker)s AND state = 'RUNNING'"""
_WEIGHT = " + ".join(f"length(CAST({name} AS BLOB))" for name in columns.LARGE)

WEIGHTS = f"SELECT id, {_WEIGHT} {_OF_THOSE_HELD}"
REQUESTS = """SELECT id, coalesce(cancelled_by, ''), coalesce(cancel_reason, '')
FROM dbqueue_job WHERE id IN (SELECT value FROM json_each(%(ids)s))
  AND cancelled_at IS NOT NULL"""
LOAD = f"SELECT id, {listed(columns.LARGE)} {_OF_THOSE_HELD}"


# As it is: bytes that are no text would hide all that is read with them.
_AS_TEXT = "dbqueue_text(CAST({} AS BLOB))"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="replace")


def _sound(name: str) -> str:
    """Return the column, or what may stand in its place in the history, as SQL."""
    if name in columns.MOMENTS:
        is_sound = f"{name} IS NULL OR {IS_MOMENT.format(name)}"
        return f"CASE WHEN {is_sound} THEN {name} ELSE %(now)s END"
    if name in ("priority", "max_attempts", "attempt", "failures"):
        is_sound = f"typeof({name}) = 'integer' AND abs({name}) < 32768"
        return f"CASE WHEN {is_sound} THEN {name} ELSE 0 END"
    if name in ("id", "worker_id", "retry_of"):
        return name
    text = _AS_TEXT.format(name)
    return (
        f"CASE WHEN json_valid({text}) THEN {text} END" if name == "progress" else text
    )


_CARRIED = (*columns.CARRIED, "failures")
_NOT_OF_OTHERS = """FROM dbqueue_job WHERE id = %(id)s
    AND (state <> 'RUNNING' OR worker_id = %(worker)s)"""
SET_ASIDE = f"""
INSERT INTO dbqueue_finishedjob ({listed(_CARRIED)}, {listed(columns.JSON)},
    state, attempt_log, exception, finished_at)
SELECT {", ".join(map(_sound, _CARRIED))},
    {", ".join(statements.whole(_AS_TEXT.format(name)) for name in columns.JSON)},
    'FAILED', json_array(json(%(record)s)), {statements.RAISED.format("%(record)s")},
    %(now)s
{_NOT_OF_OTHERS}
ON CONFLICT (id) DO NOTHING
"""
REMOVE = f"DELETE {_NOT_OF_OTHERS}"

_OF_EACH = {
    name: f"json_extract(value, '$.{name}') AS {name}"
    for name in (*columns.WRITTEN, "run_after")
}
_NEW = dict.fromkeys(columns.INSERTED) | {
    "state": "'READY'",
    "attempt": "0",
    "failures": "0",
    "attempt_log": "'[]'",
    "enqueued_at": "%(now)s",
}
INSERT_DUE = f"""
INSERT INTO dbqueue_job ({listed(columns.INSERTED)}, once)
SELECT {", ".join(value or name for name, value in _NEW.items())}, true
FROM (SELECT {", ".join(_OF_EACH.values())} FROM json_each(%(jobs)s)) AS n
WHERE NOT EXISTS (SELECT 1 FROM dbqueue_finishedjob AS f WHERE f.id = n.id)
ON CONFLICT DO NOTHING
"""

# Not as we write it; every fence compares text.
_IS_NO_ID = "(length({name}) <> 32 OR {name} GLOB '*[^0-9a-f]*')"
_IS_DUE_SOME_DAY = IS_MOMENT.format("run_after")
_LAME = f"state = 'SCHEDULED' AND ({_IS_DUE_SOME_DAY}) IS NOT TRUE"
_HELD_BY_NOBODY = (
    f"state = 'RUNNING' AND (worker_id IS NULL OR {_IS_NO_ID.format(name='worker_id')})"
)
_LOST = f"state = 'RUNNING' AND {_IS_NO_ID.format(name='id')}"
IS_LAME = f"""
SELECT EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'SCHEDULED'
               AND run_after IS NULL)
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE state = 'SCHEDULED'
               AND run_after > '9999-12-31 23:59:59.999999')
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE {_HELD_BY_NOBODY})
    OR EXISTS (SELECT 1 FROM dbqueue_job WHERE {_LOST}),
    {LOSSES.format(now="%(now)s")}
"""
HEAL = (
    f"UPDATE dbqueue_job SET state = {ENTRY.format('')} WHERE {_LAME}",
    # A worker that there is not: it is rescued as after any other.
    f"UPDATE dbqueue_job SET worker_id = %(nobody)s WHERE {_HELD_BY_NOBODY}",
    f"UPDATE dbqueue_job SET id = lower(hex(randomblob(16))) WHERE {_LOST}",
)
RENAME = "UPDATE dbqueue_job SET id = %(new)s WHERE id = %(old)s"

COUNT_RUNNING = COUNT.format(among="IN (SELECT value FROM json_each(%(names)s))")

REFUSALS = ("malformed JSON", "integer overflow", "too big", "Could not decode")


class SQLiteRareMoves(Dialect):
    _times: Timestamps

    def park(self, worker_id: UUID, ids: Sequence[UUID]) -> None:
        sql = PARKED.format(among="IN (SELECT value FROM json_each(%(ids)s))")
        self._run(sql, _held(worker_id, ids))

    def weights(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, int]:
        found = self._rows(WEIGHTS, _held(worker_id, ids))
        return {UUID(id): weight for id, weight in found}

    def load(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[str]]:
        found = self._rows(LOAD, _held(worker_id, ids))
        return {UUID(id): texts for id, *texts in found}

    def as_due(self, job: NewJob) -> str:
        due = job.run_after and self._times.write(job.run_after)
        return as_object(job, id=job.id.hex, run_after=due)

    def insert_due(self, jobs: Sequence[str]) -> None:
        values = {"jobs": f"[{','.join(jobs)}]", "now": self._times.now()}
        self._run(INSERT_DUE, values)

    def requests(self, ids: Sequence[UUID]) -> dict[UUID, Request]:
        found = self._rows(REQUESTS, {"ids": json.dumps([id.hex for id in ids])})
        return {as_id(id): Request(*map(str, said)) for id, *said in found}

    def take_one(self, worker_id: UUID, id: UUID) -> list[ClaimedJob]:
        values = {"id": id.hex, "worker": worker_id.hex, "now": self._times.now()}
        with self.one_commit():
            return [
                self._salvaged(row) for row in self._rows(statements.TAKE_ONE, values)
            ]

    def set_aside(self, id: UUID, worker_id: UUID, record: dict[str, Any]) -> bool:
        values = {"id": id.hex, "worker": worker_id.hex, "now": self._times.now()}
        with self.one_commit():
            raw: Any = self.connection.connection
            raw.create_function("dbqueue_text", 1, _text)
            moved = self._run(SET_ASIDE, values | {"record": json.dumps(record)})
            self._run(REMOVE, values)
        return bool(moved)

    def places(self, bounds: Mapping[str, int]) -> dict[str, int]:
        if not bounds:
            return {}
        names = {"names": json.dumps(list(bounds))}
        running = dict(self._rows(COUNT_RUNNING, names))
        return {name: most - running.get(name, 0) for name, most in bounds.items()}

    def next_due(self) -> NextDue:
        values = {"now": self._times.now()}
        ((ready, next_at, *others),) = self._rows(statements.NEXT_DUE, values)
        try:
            age = self._age(next_at)
        except (TypeError, ValueError, OverflowError):
            self._heal()  # it would hide the others, and never be due
            return NextDue(True, 0.0, *map(bool, others))
        due = None if age is None else -age
        return NextDue(bool(ready), due, *map(bool, others))

    def queue_counts(self, most: int) -> list[QueueCount]:
        found = self._rows(QUEUE_COUNTS.format(age="min(since)"), {"most": most})
        return [
            QueueCount(state, str(queue), jobs, self._wait(since))
            for state, queue, jobs, since in found
        ]

    def heal(self) -> Losses:
        ((is_lame, *lost),) = self._rows(IS_LAME, {"now": self._times.now()})
        if not is_lame:
            return Losses(*map(bool, lost))
        self._heal()
        return Losses()

    def _heal(self) -> None:
        with self.one_commit():
            for statement in HEAL:
                self._run(statement, {"nobody": UUID(int=0).hex})

    def refuses(self, error: Exception) -> bool:
        text = str(error)
        return super().refuses(error) or any(words in text for words in REFUSALS)

    def _place(self, since: Any, id: Any) -> tuple[datetime, UUID]:
        """Return what decides between heads of a priority; of a damaged row, any."""
        try:
            return self._times.read(since) or self._times.far(), as_id(id)
        except (TypeError, ValueError, OverflowError):
            return self._times.far(), UUID(int=0)

    def _wait(self, since: Any) -> float | None:
        try:
            return self._age(since)
        except (TypeError, ValueError, OverflowError):
            return None

    def _age(self, moment: str | None) -> float | None:
        """Return the seconds since the moment; before it, below 0."""
        past = self._times.read(moment)
        return None if past is None else (timezone.now() - past).total_seconds()

    def _salvaged(self, row: tuple[Any, ...]) -> ClaimedJob:
        """Return a claimed job, and what is wrong with its row."""
        id, *rest = row[:-5]
        moments, damage = [], []
        for name, value in zip(columns.MOMENTS, row[-5:-1], strict=True):
            try:
                moments.append(self._times.read(value))
            except (TypeError, ValueError, OverflowError):
                moments.append(self._times.far())
                damage.append(f"column {name!r} is {value!r}, which is not a date")
        try:
            known = as_id(id)
        except (TypeError, ValueError):
            known = uuid7()
            self._run(RENAME, {"new": known.hex, "old": id})
            damage.append(f"its id was {id!r}, which is not one")
        job = ClaimedJob(*(known, *rest, *moments, row[-1]))
        if damage:
            job.damage = f"The row was damaged: {'; '.join(damage)}."
        return job


def as_id(text: str) -> UUID:
    """Return an id as dbqueue writes it. Raises ValueError for another."""
    if len(text) != 32 or text != text.lower():
        raise ValueError(f"{text!r} is not an id.")
    return UUID(text)


def _held(worker_id: UUID, ids: Sequence[UUID]) -> dict[str, Any]:
    return {"worker": worker_id.hex, "ids": json.dumps([id.hex for id in ids])}
