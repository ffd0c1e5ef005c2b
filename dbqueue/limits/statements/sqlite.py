"""The gate on SQLite, which has one writer: who counts inside a commit is alone.

A statement that moves is for many lanes, if each lets one job in; else it is for one.
Ids are 32 hexadecimal digits, lists are JSON.
"""

from dbqueue.dialects.columns import ORDER_BY
from dbqueue.limits.statements import common
from dbqueue.limits.statements.common import BLOCKED, CANDIDATES, FIRST, MAY_START

LANES, GROUPS = common.LANES, common.GROUPS

_KEYS = """(SELECT json_extract(value, '$[0]') AS key,
        json_extract(value, '$[1]') AS name
    FROM json_each(%(pairs)s)) AS k"""
_LISTED = """h.id IN (SELECT value
        FROM json_each('["' || replace({}, ',', '","') || '"]'))"""
FACTS = common.FACTS.format(
    now="%(now)s",
    listed="group_concat(h.id || ':' || h.state)",
    held=_LISTED.format("l.held"),
    previous=_LISTED.format("l.previous"),
    keys=_KEYS,
)
WAITING = common.WAITING.format(keys=_KEYS)

_MOVE = """
UPDATE dbqueue_job SET state = 'READY'
WHERE id IN ({chosen})
RETURNING id, lane, queue_name
"""
MOVE = _MOVE.format(
    chosen=f"""
    SELECT j.id {BLOCKED.format(group="''", lane="%(key)s")}
    ORDER BY {ORDER_BY} LIMIT %(free)s"""
)
MOVE_FIRSTS = _MOVE.format(
    chosen=f"""
    SELECT (SELECT j.id {BLOCKED.format(group="''", lane="k.value")}
            ORDER BY {ORDER_BY} LIMIT 1)
    FROM json_each(%(keys)s) AS k"""
)
MOVE_HEADS = _MOVE.format(
    chosen=f"""
    SELECT j.id FROM (
        SELECT json_extract(value, '$[0]') AS lane, json_extract(value, '$[1]') AS head
        FROM json_each(%(heads)s)) AS k
    CROSS JOIN dbqueue_job AS j
    WHERE j.id = coalesce(k.head, ({FIRST.format(lane="k.lane")}))
      AND j.state = 'BLOCKED' AND {MAY_START}"""
)

TAKE_IN = """
UPDATE dbqueue_job SET state = 'READY'
WHERE id IN (SELECT value FROM json_each(%(ids)s)) AND state = 'BLOCKED'
RETURNING lane, queue_name
"""
NOTE = """
INSERT INTO dbqueue_lane (key, limit_name, held, spent_until, served, turn, size,
    previous, used_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
    json_extract(value, '$[2]'), json_extract(value, '$[3]'),
    json_extract(value, '$[4]'), json_extract(value, '$[5]'),
    json_extract(value, '$[6]'), json_extract(value, '$[7]'), %(now)s
FROM json_each(%(notes)s) WHERE true
ON CONFLICT (key) DO UPDATE SET held = excluded.held, served = excluded.served,
    spent_until = excluded.spent_until, turn = excluded.turn, size = excluded.size,
    previous = excluded.previous, used_at = excluded.used_at
"""

PULL = """
UPDATE dbqueue_job SET state = 'BLOCKED'
WHERE id IN (SELECT value FROM json_each(%(ids)s)) AND state = 'READY'
RETURNING id
"""
SURPLUS = """
SELECT j.id FROM dbqueue_job AS j
WHERE j.id IN (SELECT value FROM json_each(%(ids)s)) AND j.state = 'READY'
ORDER BY j.priority, j.enqueued_at DESC, j.id DESC LIMIT %(most)s
"""


def pick(lanes: int) -> str:
    """Return the statement that picks from so many lanes of a group in turn."""
    branches = [
        f"SELECT {n} AS at, * FROM ({CANDIDATES.format(lane=lane, most=most)})"
        for n in range(lanes)
        for lane, most in [(f"%(key{n})s", f"%(most{n})s")]
    ]
    wanted = """SELECT key AS place, json_extract(value, '$[0]') AS key,
        json_extract(value, '$[1]') AS weight,
        json_extract(value, '$[2]') AS ahead FROM json_each(%(wanted)s)"""
    chosen = f"JOIN ({' UNION ALL '.join(branches)}) AS c ON c.at = w.place"
    return common.PICK.format(wanted=wanted, chosen=chosen)
