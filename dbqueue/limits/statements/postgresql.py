"""The gate on PostgreSQL: each statement is for many lanes at once.

To lock and to count are two statements: a count has the snapshot of its statement's
begin, and in one it would be that of before the lock.
"""

from dbqueue.dialects.columns import ORDER_BY
from dbqueue.limits.statements import common
from dbqueue.limits.statements.common import BLOCKED, CANDIDATES, FIRST, MAY_START

LANES, GROUPS = common.LANES, common.GROUPS

# A gate holds these shared, a change of the limit holds one alone: of new lanes, too,
# nobody lets jobs in meanwhile. Any number, and the hash of the limit's name.
_CLASS = 1_685_090_914
LOCK_LIMIT = f"SELECT pg_advisory_xact_lock({_CLASS}, hashtext(%(name)s))"

# Nobody waits here; what is not locked is owed. REPEATABLE READ would count what was
# there before the lock.
_UNLESS_SHUT = f"""
WITH free AS MATERIALIZED (
    SELECT name FROM unnest(%(limits)s::text[]) AS n(name)
    WHERE pg_try_advisory_xact_lock_shared({_CLASS}, hashtext(name))
)"""
_IS_FREE = """{name} IN (SELECT name FROM free)
  AND current_setting('transaction_isolation') = 'read committed'"""
LOCK = f"""
{_UNLESS_SHUT}
SELECT key FROM dbqueue_lane
WHERE key = ANY(%(keys)s::text[]) AND {_IS_FREE.format(name="limit_name")}
FOR NO KEY UPDATE OF dbqueue_lane SKIP LOCKED
"""
ISOLATION = "SHOW transaction_isolation"

_KEYS = (
    "ROWS FROM (unnest(%(keys)s::text[]), unnest(%(names)s::text[])) AS k(key, name)"
)
NOW = "SELECT extract(epoch FROM statement_timestamp())::float8"
_NOW = "extract(epoch FROM statement_timestamp())::float8"

# What is new is locked, too: nobody else sees it yet. In order, or two would wait for
# each other.
MAKE = f"""
{_UNLESS_SHUT}
INSERT INTO dbqueue_lane (key, limit_name, held, served, turn, size, previous, used_at)
SELECT key, name, '', '', 0, 0, '', {_NOW} FROM {_KEYS}
WHERE {_IS_FREE.format(name="name")}
ORDER BY key ON CONFLICT DO NOTHING RETURNING key
"""

FACTS = common.FACTS.format(
    now=_NOW,
    listed="string_agg(h.id || ':' || h.state, ',')",
    held="h.id = ANY(string_to_array(l.held, ',')::uuid[])",
    previous="h.id = ANY(string_to_array(l.previous, ',')::uuid[])",
    keys=_KEYS,
)
WAITING = common.WAITING.format(keys=_KEYS)

_MOVE = f"""
WITH wanted AS MATERIALIZED (
    SELECT * FROM ROWS FROM (
        unnest(%(keys)s::text[]), unnest(%(free)s::int[]), unnest(%(held)s::text[]),
        unnest(%(heads)s::uuid[]), unnest(%(spent)s::float8[]),
        unnest(%(steps)s::float8[])
    ) AS w(key, free, held, head, spent, step)
), picked AS MATERIALIZED (
    SELECT chosen.id, wanted.key FROM wanted CROSS JOIN LATERAL ({{chosen}}) AS chosen
), note AS (
    UPDATE dbqueue_lane AS l
    SET held = concat_ws(',', nullif(wanted.held, ''), p.ids), used_at = {_NOW},
        spent_until = wanted.spent + p.n * wanted.step
    FROM wanted JOIN (SELECT key, string_agg(id::text, ',') AS ids, count(*) AS n
                      FROM picked GROUP BY key) AS p USING (key)
    WHERE l.key = wanted.key
)
UPDATE dbqueue_job SET state = 'READY'
WHERE id = ANY(ARRAY(SELECT id FROM picked))
RETURNING lane, queue_name
"""
MOVE = _MOVE.format(
    chosen=f"""
    SELECT j.id {BLOCKED.format(group="''", lane="wanted.key")}
    ORDER BY {ORDER_BY} LIMIT wanted.free FOR UPDATE SKIP LOCKED"""
)
# If somebody holds the first, as to cancel it, then nobody: to pass over it would break
# the order.
MOVE_HEADS = _MOVE.format(
    chosen=f"""
    SELECT j.id FROM dbqueue_job AS j
    WHERE j.state = 'BLOCKED' AND {MAY_START}
      AND j.id = coalesce(wanted.head, ({FIRST.format(lane="wanted.key")}))
    FOR UPDATE OF j SKIP LOCKED"""
)

PICK = common.PICK.format(
    wanted="""SELECT * FROM ROWS FROM (
        unnest(%(keys)s::text[]), unnest(%(weights)s::int[]), unnest(%(ahead)s::int[]),
        unnest(%(most)s::int[])
    ) WITH ORDINALITY AS w(key, weight, ahead, most, place)""",
    chosen=f"""CROSS JOIN LATERAL ({
        CANDIDATES.format(lane="w.key", most="w.most")
    }) AS c""",
)
TAKE_IN = """
WITH picked AS MATERIALIZED (
    SELECT id FROM dbqueue_job
    WHERE id = ANY(%(ids)s::uuid[]) AND state = 'BLOCKED' FOR UPDATE SKIP LOCKED
)
UPDATE dbqueue_job SET state = 'READY'
WHERE id = ANY(ARRAY(SELECT id FROM picked))
RETURNING lane, queue_name
"""
NOTE = f"""
UPDATE dbqueue_lane AS l
SET held = n.held, spent_until = n.spent, served = n.served, turn = n.turn,
    size = n.size, previous = n.previous, used_at = {_NOW}
FROM ROWS FROM (
    unnest(%(keys)s::text[]), unnest(%(held)s::text[]), unnest(%(spent)s::float8[]),
    unnest(%(served)s::text[]), unnest(%(turns)s::int[]), unnest(%(sizes)s::int[]),
    unnest(%(previous)s::text[])
) AS n(key, held, spent, served, turn, size, previous)
WHERE l.key = n.key
"""

# It waits for claims that are under way, which a READY one may have.
PULL = """
WITH picked AS MATERIALIZED (
    SELECT id FROM dbqueue_job
    WHERE id = ANY(%(ids)s::uuid[]) AND state = 'READY' ORDER BY id FOR UPDATE
)
UPDATE dbqueue_job SET state = 'BLOCKED'
WHERE id = ANY(ARRAY(SELECT id FROM picked)) AND state = 'READY'
RETURNING id
"""
# Those last in the order go first.
SURPLUS = """
SELECT j.id FROM dbqueue_job AS j
WHERE j.id = ANY(%(ids)s::uuid[]) AND j.state = 'READY'
ORDER BY j.priority, j.enqueued_at DESC, j.id DESC LIMIT %(most)s
"""
