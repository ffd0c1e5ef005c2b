"""What the statements of both databases have in common."""

from dbqueue.dialects.columns import ORDER_BY

# One whose queue or task is paused would hold its lane for nothing.
MAY_START = """NOT EXISTS (SELECT 1 FROM dbqueue_pause AS p
    WHERE p.key = 'queue:' || j.queue_name OR p.key = 'task:' || j.task)"""

# The literal state is the condition of the partial index.
BLOCKED = f"""FROM dbqueue_job AS j
    WHERE j.state = 'BLOCKED' AND j.fair_group = {{group}} AND j.lane = {{lane}}
      AND {MAY_START}"""
# Of an ordered lane, whether it may start or not.
FIRST = f"""SELECT f.id FROM dbqueue_job AS f
    WHERE f.state = 'BLOCKED' AND f.fair_group = '' AND f.lane = {{lane}}
    ORDER BY {ORDER_BY} LIMIT 1"""

# What the pure decision needs to know of each key; see facts.Facts.
FACTS = """
SELECT k.key, coalesce(l.concurrency, r.set_concurrency, r.concurrency),
    coalesce(r.set_rate, r.rate), coalesce(r.set_per, r.per),
    coalesce(r.set_burst, r.burst, 1), r.is_ordered, r.is_fair, r.of_group,
    l.spent_until, coalesce(l.served, ''), coalesce(l.turn, 0), l.weight, {now},
    coalesce(l.used_at, 0), coalesce(l.size, 0),
    CASE WHEN r.is_fair THEN (SELECT count(*) FROM dbqueue_job AS h
                              WHERE {previous} AND h.state = 'READY') ELSE 0 END,
    EXISTS (SELECT 1 FROM dbqueue_pause AS p
            WHERE p.key = 'lane:' || k.key OR p.key = 'limit:' || r.name),
    (SELECT {listed} FROM dbqueue_job AS h WHERE {held})
FROM {keys}
JOIN dbqueue_limitrule AS r ON r.name = k.name
LEFT JOIN dbqueue_lane AS l ON l.key = k.key
"""

# How many jobs wait at each key, up to `most` of one.
WAITING = """
SELECT k.key, CASE WHEN k.key = k.name THEN (
        SELECT count(*) FROM (SELECT 1 FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.fair_group = k.key LIMIT %(most)s) AS w)
    ELSE (
        SELECT count(*) FROM (SELECT 1 FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.lane = k.key
              AND j.fair_group = CASE WHEN r.is_fair THEN r.name ELSE '' END
            LIMIT %(most)s) AS w)
    END
FROM {keys}
JOIN dbqueue_limitrule AS r ON r.name = k.name
"""

# Not by the ORM, whose bulk_create() begins a transaction, which SQLite has not within
# another.
MAKE_RULE = """
INSERT INTO dbqueue_limitrule (name, concurrency, rate, per, burst, is_ordered, is_fair,
    of_group, declared_at, set_by)
VALUES (%(name)s, %(concurrency)s, %(rate)s, %(per)s, %(burst)s, %(is_ordered)s,
    %(is_fair)s, %(of_group)s, %(now)s, '') ON CONFLICT (name) DO NOTHING
"""

# A loose index scan: one probe a lane, however many jobs wait in it. Without a group,
# of the lanes that are in none.
LANES = """
WITH RECURSIVE names(lane, n) AS (
    SELECT (SELECT min(j.lane) FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.fair_group = %(group)s
              AND j.lane > %(after)s), 1
    UNION ALL
    SELECT (SELECT min(j.lane) FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.fair_group = %(group)s
              AND j.lane > names.lane), n + 1
    FROM names WHERE names.lane IS NOT NULL AND n < %(most)s
)
SELECT lane FROM names WHERE lane IS NOT NULL
"""
GROUPS = """
WITH RECURSIVE names(name) AS (
    SELECT (SELECT min(j.fair_group) FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.fair_group > '')
    UNION ALL
    SELECT (SELECT min(j.fair_group) FROM dbqueue_job AS j
            WHERE j.state = 'BLOCKED' AND j.fair_group > names.name)
    FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL
"""

# The jobs of lanes whose turn it is: in each round, each lane starts as many as its
# weight. `ahead` are those that it has started in this round already.
PICK = f"""
WITH wanted AS ({{wanted}}),
found AS (
    SELECT w.place, w.key, w.weight, w.ahead, c.id,
        row_number() OVER (PARTITION BY w.place ORDER BY {ORDER_BY}) AS n
    FROM wanted AS w {{chosen}}
)
SELECT id, key, (ahead + n - 1) %% weight + 1 FROM found
ORDER BY (ahead + n - 1) / weight, place, n LIMIT %(room)s
"""
CANDIDATES = f"""SELECT j.id, j.priority, j.enqueued_at
    {BLOCKED.format(group="%(group)s", lane="{lane}")}
    ORDER BY {ORDER_BY} LIMIT {{most}}"""
