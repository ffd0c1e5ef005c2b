"""The statements of PostgreSQL; each move is one of them."""

from functools import lru_cache

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

# What is stored in so few bytes is seldom compressed, and never by much.
_IS_SHORT = f"""pg_column_size({{name}}) < 256
    OR octet_length({{name}}::text) <= {columns.MOST_CLAIMED}"""

_IS_OPEN = IS_OPEN.format(name="%(queue{n})s::text")
_ANY_TASK = "EXISTS (SELECT 1 FROM dbqueue_pause WHERE key LIKE 'task:%%')"

# One index-ordered branch a target: a global ORDER BY over several queues would sort
# the whole backlog, and so would LATERAL, whose values the planner cannot see.
_BRANCH = f"""
    SELECT id FROM (
        SELECT id FROM dbqueue_job
        WHERE state = 'READY' AND queue_name = %(queue{{n}})s
          AND {_IS_OPEN} {{beyond}}
        ORDER BY {ORDER_BY}
        LIMIT {{most}}
        FOR UPDATE SKIP LOCKED
    ) AS branch{{n}}"""

# How many one brings: as many as are claimed, or as its queue has places for.
ALL, BOUNDED = "%(limit)s", "%(most{n})s"

LEVELS = "AND priority BETWEEN %(lowest{n})s AND %(highest{n})s"
# One comparison of both, or it would not be a boundary of the index.
BEYOND = f"""{LEVELS}
    AND (enqueued_at, id) > (%(since{{n}})s::timestamptz, %(after{{n}})s::uuid)"""

# Only where it is needed, as it reads the rows and not the index alone.
KNOWN = " AND task <> ALL(%(unknown)s::text[])"
KNOWN_THERE = KNOWN.replace("unknown", "unknown{n}")

# MATERIALIZED and the array keep the planner from running the limited branches again
# and so claiming more than the limit. A worker whose row is gone was declared dead and
# claims nothing.
_TAKE = f"""
WITH picked AS MATERIALIZED (
    SELECT id FROM ({{branches}}) AS ready LIMIT %(limit)s
)
UPDATE dbqueue_job
SET state = {TAKEN.format(any=_ANY_TASK)},
    worker_id = %(worker)s, attempt = attempt + 1,
    started_at = coalesce(started_at, statement_timestamp()),
    last_attempted_at = statement_timestamp()
WHERE id = ANY(ARRAY(SELECT id FROM picked))
  AND EXISTS (SELECT 1 FROM dbqueue_worker
              WHERE id = %(worker)s AND ended_at IS NULL)
RETURNING {claimed(_IS_SHORT)}, {FATE.format(now="statement_timestamp()")}
"""

TAKE_ONE = _TAKE.format(
    branches="""SELECT id FROM dbqueue_job
    WHERE state = 'READY' AND id = %(id)s FOR UPDATE SKIP LOCKED"""
)


def logged(log: str, entry: str) -> str:
    """Return the attempt log with one more entry, both jsonb.

    It may have been damaged by hand; that must not keep a job from ending.
    """
    return f"""CASE
    WHEN jsonb_typeof({log}) <> 'array' THEN jsonb_build_array({entry})
    WHEN jsonb_array_length({log}) < {columns.LOG_LENGTH} THEN {log} || ({entry})
    ELSE ({log} - 1) || ({entry}) END"""


_LOG = f"""CASE WHEN json_typeof(o.record) = 'null' THEN j.attempt_log
    ELSE {logged("j.attempt_log", "o.record::jsonb")} END"""

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
        unnest(%(delays)s::float8[]), unnest(%(durations)s::float8[]){lists})
    AS o(id, attempt, state, result, record, failed, delay, duration{names})"""

# Whoever waits for the end of a job has said so in its row. Few do: a NOTIFY takes a
# lock that the commits of the whole server share.
ENDS = "dbqueue_ended"
TELL_WHO_WAITS = f"CASE WHEN is_awaited THEN pg_notify('{ENDS}', id::text) IS NULL END"

# Text of a record that may be null; the class is what a column of the history holds.
RAISED = f"left({{record}} ->> 'exception', {columns.EXCEPTION_LENGTH})"

_FINISH = f"""
WITH gone AS (
    DELETE FROM dbqueue_job AS j USING {_OUTCOMES}
    WHERE {_FENCE}
    RETURNING j.*, o.state AS ended, o.result, o.duration, o.failed, {_LOG} AS log,
        CASE o.state WHEN 'FAILED' THEN {RAISED.format(record="o.record")} END
            AS raised, {TELL_WHO_WAITS.replace("id::", "j.id::")} AS told{{more}}
)
, kept AS (
INSERT INTO dbqueue_finishedjob ({_HISTORY}, state, failures, attempt_log, exception,
                                 result, duration, finished_at{{columns}})
SELECT {_HISTORY}, ended, failures + failed, log, raised,
       CASE ended WHEN 'SUCCESSFUL' THEN result::jsonb END, duration,
       statement_timestamp(){{values}}
FROM gone
ON CONFLICT (id) DO NOTHING
RETURNING id
)
SELECT id, false FROM kept
UNION ALL SELECT id, true FROM gone WHERE id NOT IN (SELECT id FROM kept)
"""
FINISH = _FINISH.format(lists="", names="", more="", columns="", values="")
# Of records that stay for a time of their own.
FINISH_KEPT = _FINISH.format(
    lists=", unnest(%(keeps)s::float8[])",
    names=", keep",
    more=", o.keep",
    columns=", keep_until",
    values=", statement_timestamp() + keep * interval '1 second'",
)

RELEASE = f"""
UPDATE dbqueue_job AS j
SET state = CASE WHEN o.delay > 0 THEN 'SCHEDULED' ELSE {ENTRY.format("j.")} END,
    run_after = CASE WHEN o.delay > 0
        THEN statement_timestamp() + o.delay * interval '1 second' ELSE j.run_after END,
    worker_id = NULL, failures = j.failures + o.failed,
    attempt_log = {_LOG}, {GIVE_UP_KEY}
FROM {_OUTCOMES.format(lists="", names="")}
WHERE {_FENCE} AND j.cancelled_at IS NULL
RETURNING j.id
"""

NOTE_PROGRESS = f"""
UPDATE dbqueue_job AS j SET progress = o.note::jsonb
FROM ROWS FROM (unnest(%(ids)s::uuid[]), unnest(%(attempts)s::int[]),
        json_array_elements(%(notes)s::json)) AS o(id, attempt, note)
WHERE {_FENCE}
"""

PROMOTE = f"""
WITH due AS MATERIALIZED (
    SELECT id FROM dbqueue_job
    WHERE state = 'SCHEDULED' AND run_after <= statement_timestamp()
    ORDER BY run_after
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE dbqueue_job SET state = {ENTRY.format("")}
WHERE id = ANY(ARRAY(SELECT id FROM due))
RETURNING queue_name, lane, fair_group
"""

FIRST_HEAD = f"""
SELECT queue_name, priority, enqueued_at, id,
    (SELECT max(queue_name) FROM dbqueue_job WHERE state = 'READY'),
    {IS_OPEN.format(name="queue_name")}
FROM dbqueue_job WHERE state = 'READY' {{known}}
ORDER BY queue_name, {ORDER_BY} LIMIT 1
"""

# Beside a WITH, PostgreSQL finds a least value by an index only in a subquery.
NEXT_DUE = f"""
{NAMES}
SELECT {IS_ANY_READY}, extract(epoch FROM (
    SELECT min(run_after) FROM dbqueue_job
    WHERE state = 'SCHEDULED' AND run_after > '-infinity' AND run_after < 'infinity'
) - statement_timestamp())::float8, {IS_ANY_BLOCKED},
    {IS_ANY_LATE.format(now="statement_timestamp()")}, {IS_ANY_PARKED}
"""

# No time may be infinite, and no difference of two.
AGE = """extract(epoch FROM statement_timestamp()
    - min(since) FILTER (WHERE isfinite(since)))::float8"""

READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

LIMIT_IDLING = "SET {scope} idle_in_transaction_session_timeout = {milliseconds}"

WATCH_CLIENT = """
SELECT set_config('client_connection_check_interval', %s, false)
WHERE current_setting('client_connection_check_interval', true) = '0'
    AND pg_backend_pid() = %s
"""

BACKEND_PID = "SELECT pg_backend_pid()"

# What the database or the role limits more strictly stays; 0 is no limit.
LIMIT_ANSWERS = """
SELECT set_config(name, most::text, false)
FROM (VALUES ('lock_timeout', %(waiting)s), ('statement_timeout', %(answering)s))
    AS limits(name, most) JOIN pg_settings USING (name)
WHERE setting::bigint NOT BETWEEN 1 AND most
"""

# A plan that was made while a table was empty is used until the table is analyzed.
# These make it the plan for a million rows, too: by the indexes, in the order we ask.
BY_INDEX = """
SELECT set_config(name, 'off', false) FROM unnest(
    '{enable_seqscan,enable_bitmapscan,enable_sort,jit}'::text[]) AS setting(name)
"""

CHANNEL = "dbqueue"
LISTEN = "LISTEN {}"  # to a channel, whose name cannot be bound
PING = "SELECT pg_notify(%s, %s)"
# A hint need not be on the disk before its commit returns: the next may be a job's.
NOTIFY = f"""
SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', queue)
FROM unnest(%s::text[]) AS q(queue)
"""


@lru_cache
def take_from(targets: tuple[tuple[str, str], ...]) -> str:
    """Return the statement that claims from targets: "", LEVELS or BEYOND for each.

    And ALL, or BOUNDED.
    """
    branches = (
        _BRANCH.format(n=n, beyond=beyond.format(n=n), most=most.format(n=n))
        for n, (beyond, most) in enumerate(targets)
    )
    return _TAKE.format(branches=" UNION ALL ".join(branches))
