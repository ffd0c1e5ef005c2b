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

_KEYS = (
    "ROWS FROM (unnest(%(keys)s::text[]), unnest(%(names)s::text[])) AS k(key, name)"
)
NOW = "SELECT extract(epoch FROM statement_timestamp())::float8"
_NOW = "extract(epoch FROM statement_timestamp())::float8"

# Whether a lane is one that only counts: with no order, rate or turns.
_COUNTS = """r.concurrency IS NOT NULL AND NOT r.is_ordered AND NOT r.is_fair
    AND coalesce(r.set_rate, r.rate) IS NULL"""

# Nobody waits here but for who makes the same lane; what is not locked is owed.
# REPEATABLE READ would count what was there before the lock. What is new is locked,
# too: nobody else sees it yet. In order, or two would wait for each other.
LOCK = f"""
WITH free AS MATERIALIZED (
    SELECT k.key, k.name FROM {_KEYS}
    WHERE current_setting('transaction_isolation') = 'read committed' AND k.name IN (
        SELECT name FROM unnest(%(limits)s::text[]) AS n(name)
        WHERE pg_try_advisory_xact_lock_shared({_CLASS}, hashtext(name)))
), made AS (
    INSERT INTO dbqueue_lane
        (key, limit_name, held, served, turn, size, previous, used_at)
    SELECT key, name, '', '', 0, 0, '', {_NOW} FROM free
    WHERE NOT EXISTS (SELECT 1 FROM dbqueue_lane AS l WHERE l.key = free.key)
    ORDER BY key ON CONFLICT DO NOTHING RETURNING key, limit_name
), locked AS (
    SELECT key, limit_name FROM dbqueue_lane
    WHERE key = ANY(ARRAY(SELECT key FROM free))
    FOR NO KEY UPDATE OF dbqueue_lane SKIP LOCKED
)
SELECT l.key, coalesce({_COUNTS}, false)
FROM (SELECT * FROM made UNION ALL SELECT * FROM locked) AS l
LEFT JOIN dbqueue_limitrule AS r ON r.name = l.limit_name
"""
ISOLATION = "SHOW transaction_isolation"

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

# Of lanes that only count, to know and to move is one statement: they are most lanes,
# and each statement is a round trip in which somebody waits for them. Their limit may
# have changed since it was asked for; then a sweep finds them.
FILL = f"""
WITH wanted AS MATERIALIZED (
    SELECT l.key, coalesce(l.concurrency, r.set_concurrency, r.concurrency) AS most,
        ARRAY(SELECT h.id FROM dbqueue_job AS h
              WHERE h.id = ANY(string_to_array(l.held, ',')::uuid[])
                AND h.state IN ('READY', 'RUNNING')) AS held
    FROM dbqueue_lane AS l JOIN dbqueue_limitrule AS r ON r.name = l.limit_name
    WHERE l.key = ANY(%(keys)s::text[]) AND {_COUNTS}
      AND NOT EXISTS (SELECT 1 FROM dbqueue_pause AS p
                      WHERE p.key = 'lane:' || l.key OR p.key = 'limit:' || r.name)
), picked AS MATERIALIZED (
    SELECT chosen.id, wanted.key FROM wanted CROSS JOIN LATERAL (
        SELECT j.id {BLOCKED.format(group="''", lane="wanted.key")}
        ORDER BY {ORDER_BY} LIMIT greatest(0, wanted.most - cardinality(wanted.held))
        FOR UPDATE SKIP LOCKED) AS chosen
), note AS (
    UPDATE dbqueue_lane AS l
    SET held = array_to_string(wanted.held || p.ids, ','), used_at = {_NOW}
    FROM wanted JOIN (SELECT key, array_agg(id) AS ids FROM picked GROUP BY key) AS p
        USING (key)
    WHERE l.key = wanted.key
)
UPDATE dbqueue_job SET state = 'READY'
WHERE id = ANY(ARRAY(SELECT id FROM picked))
RETURNING lane, queue_name
"""

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
