"""The statements that both databases understand, and those that outlive themselves."""

import re

from dbqueue.dialects.columns import ORDER_BY

# What the session keeps after the statement and its transaction.
_LASTING = re.compile(
    r"^\s*(?:SET\s+(?!LOCAL\b|TRANSACTION\b|CONSTRAINTS\b)|LISTEN\b|PREPARE\b"
    r"|CREATE\s+TEMP|PRAGMA\b|ATTACH\b)"
    r"|\bset_config\s*\(|\bpg_(?:try_)?advisory_lock",
    re.IGNORECASE,
)

# A loose index scan: one probe a queue, however many rows each of them holds.
_NAMES = """names(name) AS (
    SELECT min(queue_name) FROM dbqueue_job WHERE state = 'READY'
    UNION ALL
    SELECT (SELECT min(queue_name) FROM dbqueue_job
            WHERE state = 'READY' AND queue_name > name)
    FROM names WHERE name IS NOT NULL
)"""

_FIRST = f"""FROM dbqueue_job WHERE state = 'READY' AND queue_name = name
    ORDER BY {ORDER_BY} LIMIT 1"""

# No join: PostgreSQL would read a table of some thousand rows as a whole for it.
QUEUE_HEADS = f"""
WITH RECURSIVE {_NAMES}
SELECT name, (SELECT priority {_FIRST}),
    (SELECT enqueued_at {_FIRST}), (SELECT id {_FIRST})
FROM names WHERE name IS NOT NULL
"""

_LEVEL = """FROM dbqueue_job j
    WHERE j.state = 'READY' AND j.queue_name = name AND j.priority = levels.priority
    ORDER BY j.enqueued_at, j.id"""

# Each part reads one partial index, and no more than `most` rows of it at a time. The
# first of a priority are looked at for the oldest: a job that was scheduled waits since
# it was due, any other since it was enqueued.
QUEUE_COUNTS = f"""
WITH RECURSIVE {_NAMES},
levels(name, priority) AS (
    SELECT name, (SELECT max(priority) FROM dbqueue_job
                  WHERE state = 'READY' AND queue_name = name)
    FROM names WHERE name IS NOT NULL
    UNION ALL
    SELECT name, (SELECT max(j.priority) FROM dbqueue_job j
                  WHERE j.state = 'READY' AND j.queue_name = name
                    AND j.priority < levels.priority)
    FROM levels WHERE priority IS NOT NULL
)
SELECT 'READY', name,
    (SELECT count(*) FROM (SELECT 1 {_LEVEL} LIMIT %(most)s) AS counted),
    (SELECT {{age}} FROM (
        SELECT CASE WHEN run_after > enqueued_at THEN run_after ELSE enqueued_at END
            AS since {_LEVEL} LIMIT 1000) AS oldest)
FROM levels WHERE priority IS NOT NULL
UNION ALL
SELECT 'SCHEDULED', queue_name, count(*), NULL
FROM (SELECT queue_name FROM dbqueue_job WHERE state = 'SCHEDULED'
      ORDER BY run_after LIMIT %(most)s) AS next
GROUP BY queue_name
UNION ALL
SELECT 'RUNNING', queue_name, count(*), NULL
FROM dbqueue_job WHERE state = 'RUNNING' GROUP BY queue_name
"""


def alters_session(sql: str) -> bool:
    """Tell whether the session keeps what the statement does."""
    return _LASTING.search(sql) is not None
