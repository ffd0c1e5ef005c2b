"""The statements of SQLite; a move is one of them, or two in one commit."""

from dbqueue.dialects import columns
from dbqueue.dialects.columns import ORDER_BY, claimed, listed
from dbqueue.dialects.statements import (
    ENTRY,
    FATE,
    GIVE_UP_KEY,
    IS_ANY_BLOCKED,
    IS_ANY_LATE,
    IS_ANY_PARKED,
    IS_ANY_READY,
    IS_OPEN,
    NAMES,
    TAKEN,
)

_HISTORY = listed(columns.CARRIED + columns.JSON)
_READY = f"""SELECT id FROM dbqueue_job
    WHERE state = 'READY' AND queue_name = %(queue)s
      AND {IS_OPEN.format(name="%(queue)s")}
      AND priority BETWEEN %(lowest)s AND %(highest)s {{known}}
    ORDER BY {ORDER_BY}"""

KNOWN = "AND task NOT IN (SELECT value FROM json_each(%(unknown)s))"

# An idle worker looks often, and must not become the writer to find nothing.
PEEK = f"{_READY} LIMIT 1"

# A bare column of a date is converted by Python's SQLite, which raises for one damaged.
_AS_TEXT = "coalesce({name}, NULL)"
_IS_SHORT = f"length({{name}}) <= {columns.MOST_CLAIMED}"

LIGHT = "".join(f"AND {_IS_SHORT.format(name=name)} " for name in columns.LARGE)

_ANY_TASK = "EXISTS (SELECT 1 FROM dbqueue_pause WHERE key GLOB 'task:*')"

# No row locks are needed: the statement is a writer from its start, and there is only
# one writer.
_TAKE = f"""
UPDATE dbqueue_job
SET state = {TAKEN.format(any=_ANY_TASK)},
    worker_id = %(worker)s, attempt = attempt + 1,
    started_at = coalesce(started_at, %(now)s), last_attempted_at = %(now)s
WHERE id IN ({{ids}})
  AND EXISTS (SELECT 1 FROM dbqueue_worker
              WHERE id = %(worker)s AND ended_at IS NULL)
RETURNING {claimed(_IS_SHORT, _AS_TEXT)}, {FATE.format(now="%(now)s")}
"""

TAKE = _TAKE.format(ids=f"{_READY} LIMIT %(limit)s")
TAKE_ONE = _TAKE.format(
    ids="SELECT id FROM dbqueue_job WHERE id = %(id)s AND state = 'READY'"
)

_FENCE = "id = :id AND attempt = :attempt AND worker_id = :worker AND state = 'RUNNING'"

# What was damaged by hand must not keep a job from ending: it is kept as a string.
WHOLE_LOG = """CASE WHEN json_valid(attempt_log) AND json_type(attempt_log) = 'array'
    THEN attempt_log ELSE '[]' END"""


def logged(log: str, entry: str) -> str:
    """Return the attempt log with one more entry, both JSON."""
    return f"""json_insert(CASE WHEN json_array_length({log}) < {columns.LOG_LENGTH}
        THEN {log} ELSE json_remove({log}, '$[1]') END,
        '$[#]', json({entry}))"""


_LOG = f"""CASE WHEN :record IS NULL THEN {WHOLE_LOG}
    ELSE {logged(WHOLE_LOG, ":record")} END"""


def whole(value: str) -> str:
    """Return what the history takes for JSON: the value, or else a string of it."""
    text = f"json_quote(CAST({value} AS TEXT))"
    return f"CASE WHEN json_valid({value}) THEN {value} ELSE {text} END"


WHOLE = ", ".join(map(whole, columns.JSON))

# The path of the class that a record names, as a column of the history holds it.
RAISED = f"substr(json_extract({{}}, '$.exception'), 1, {columns.EXCEPTION_LENGTH})"

FINISH = f"""
INSERT INTO dbqueue_finishedjob ({_HISTORY}, state, failures, attempt_log, exception,
                                 result, duration, finished_at, keep_until)
SELECT {listed(columns.CARRIED)}, {WHOLE}, :state, failures + :failed, {_LOG},
       CASE :state WHEN 'FAILED' THEN {RAISED.format(":record")} END,
       :result, :duration, :now, :kept
FROM dbqueue_job WHERE {_FENCE}
ON CONFLICT (id) DO NOTHING
"""

REMOVE = f"DELETE FROM dbqueue_job WHERE {_FENCE}"

RELEASE = f"""
UPDATE dbqueue_job
SET state = CASE WHEN :due IS NOT NULL THEN 'SCHEDULED' ELSE {ENTRY.format("")} END,
    run_after = coalesce(:due, run_after),
    worker_id = NULL, failures = failures + :failed, attempt_log = {_LOG},
    {GIVE_UP_KEY}
WHERE {_FENCE} AND cancelled_at IS NULL
"""

NOTE_PROGRESS = f"UPDATE dbqueue_job SET progress = :result WHERE {_FENCE}"

PROMOTE = f"""
UPDATE dbqueue_job SET state = {ENTRY.format("")}
WHERE id IN (
    SELECT id FROM dbqueue_job
    WHERE state = 'SCHEDULED' AND run_after <= %(now)s
    ORDER BY run_after
    LIMIT %(limit)s
)
RETURNING queue_name, lane, fair_group
"""

NEXT_DUE = f"""
{NAMES}
SELECT {IS_ANY_READY},
    (SELECT min(run_after) FROM dbqueue_job WHERE state = 'SCHEDULED'),
    {IS_ANY_BLOCKED}, {IS_ANY_LATE.format(now="%(now)s")}, {IS_ANY_PARKED}
"""
