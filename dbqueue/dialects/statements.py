"""The statements that both databases understand."""

from dbqueue.dialects.columns import INSERTED, ORDER_BY, listed

# What a job is once it is due: in a lane, only its gate makes it ready.
ENTRY = "CASE WHEN {0}lane IS NULL THEN 'READY' ELSE 'BLOCKED' END"

# Nothing is claimed from a queue that is paused. {name} is the same for all rows: it
# costs one probe of a small table for each statement.
IS_OPEN = "NOT EXISTS (SELECT 1 FROM dbqueue_pause WHERE key = 'queue:' || {name})"

# A loose index scan: one probe a queue, however many rows each of them holds.
_NAMES = """names(name) AS (
    SELECT min(queue_name) FROM dbqueue_job WHERE state = 'READY'
    UNION ALL
    SELECT (SELECT min(queue_name) FROM dbqueue_job
            WHERE state = 'READY' AND queue_name > name)
    FROM names WHERE name IS NOT NULL
)"""

_FIRST = f"""FROM dbqueue_job
    WHERE state = 'READY' AND queue_name = name {{known}}
    ORDER BY {ORDER_BY} LIMIT 1"""

# No join: PostgreSQL would read a table of some thousand rows as a whole for it. Of a
# queue with unknown tasks alone, all but the name is null. No bare column of a date:
# Python's SQLite would convert it, and raise for one that is damaged.
QUEUE_HEADS = f"""
WITH RECURSIVE {_NAMES}
SELECT name, (SELECT priority {_FIRST}),
    coalesce((SELECT enqueued_at {_FIRST}), NULL), (SELECT id {_FIRST})
FROM names WHERE name IS NOT NULL AND {IS_OPEN.format(name="name")}
"""

# Whether there is a ready job that may be claimed. Mostly nothing is paused, and then
# the least name says it. Not EXISTS: for that, PostgreSQL may hope to meet a ready job
# soon, and read the whole table.
_IS_OPEN_NAME = IS_OPEN.format(name="name")
IS_ANY_READY = f"""CASE WHEN NOT EXISTS (SELECT 1 FROM dbqueue_pause)
    THEN (SELECT min(queue_name) FROM dbqueue_job WHERE state = 'READY') IS NOT NULL
    ELSE EXISTS (SELECT 1 FROM names WHERE name IS NOT NULL AND {_IS_OPEN_NAME}) END"""
NAMES = f"WITH RECURSIVE {_NAMES}"

# Whether a gate has anything to let in, by the index of what waits for one.
IS_ANY_BLOCKED = """(SELECT 1 FROM dbqueue_job WHERE state = 'BLOCKED'
    ORDER BY fair_group, lane LIMIT 1) IS NOT NULL"""

# Whether a job may have expired, by the least of the moments; one that runs may go on.
IS_ANY_LATE = """coalesce((SELECT min(expires_at) FROM dbqueue_job
    WHERE expires_at IS NOT NULL) <= {now}, false)"""
IS_ANY_PARKED = """(SELECT min(task) FROM dbqueue_job
    WHERE state = 'PAUSED') IS NOT NULL"""

# What is lost with workers: their leases are over, or their rows have ended.
LOSSES = """EXISTS (SELECT 1 FROM dbqueue_worker
               WHERE ended_at IS NULL AND expires_at < {now}),
    (SELECT 1 FROM dbqueue_job AS j WHERE j.state = 'RUNNING' AND NOT EXISTS (
        SELECT 1 FROM dbqueue_worker AS w
        WHERE w.id = j.worker_id AND w.ended_at IS NULL)
     ORDER BY j.worker_id LIMIT 1) IS NOT NULL"""

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
SELECT 'PAUSED', queue_name, count(*), NULL
FROM (SELECT queue_name FROM dbqueue_job WHERE state = 'PAUSED'
      LIMIT %(most)s) AS parked
GROUP BY queue_name
UNION ALL
SELECT 'RUNNING', queue_name, count(*), NULL
FROM dbqueue_job WHERE state = 'RUNNING' GROUP BY queue_name
UNION ALL
SELECT 'BLOCKED', queue_name, count(*), NULL
FROM (SELECT queue_name FROM dbqueue_job WHERE state = 'BLOCKED' LIMIT %(most)s)
    AS blocked
GROUP BY queue_name
"""


# What a claim makes of a job: one of a paused task is out of the way of further claims
# then. {any} tells whether any task is paused, and is asked once.
TAKEN = """CASE WHEN {any} THEN
    CASE WHEN EXISTS (SELECT 1 FROM dbqueue_pause WHERE key = 'task:' || task)
        THEN 'PAUSED' ELSE 'RUNNING' END
    ELSE 'RUNNING' END"""

# One that has begun never gets the key back that it had until its start: somebody else
# may have it, and no move may fail for that.
GIVE_UP_KEY = "unique_key = CASE unique_until WHEN 'S' THEN NULL ELSE unique_key END"

# What a claim returns of each job beside its columns: why it must not run, if it must
# not. That the history has it is asked for chosen ids only, as it takes time: not with
# AND, which goes on after a null, nor EXISTS, for which PostgreSQL may read all of the
# history at once. A claim sees what the snapshot of whoever enqueued may miss: an id
# can be inserted again only when the transaction that moved it to the history has
# committed.
FATE = """CASE WHEN state = 'PAUSED' THEN 'paused' WHEN CASE WHEN once THEN
    (SELECT 1 FROM dbqueue_finishedjob AS f WHERE f.id = dbqueue_job.id) IS NOT NULL END
    THEN 'known' WHEN expires_at <= {now} THEN 'expired' END"""

# What a claim has parked is as it was before.
PARKED = """
UPDATE dbqueue_job SET worker_id = NULL, attempt = attempt - 1,
    started_at = CASE WHEN attempt > 1 THEN started_at END
WHERE id {among} AND state = 'PAUSED' AND worker_id = %(worker)s
"""

# What a worker has claimed that the history has.
FORGET_KNOWN = """
DELETE FROM dbqueue_job
WHERE state = 'RUNNING' AND worker_id = %(worker)s AND once
  AND EXISTS (SELECT 1 FROM dbqueue_finishedjob AS f WHERE f.id = dbqueue_job.id)
"""


# Of more columns, those that are given in seconds from now.
_LATER = {"expires_in": "expires_at"}


def insert_once(values: str, more: tuple[str, ...] = (), later: str = "%({})s") -> str:
    """Return the INSERT of a job whose id may be taken, by a finished one, too.

    `more` are names of columns that few jobs have; they are parameters, too.
    """
    return f"""
INSERT INTO dbqueue_job ({listed(names_of(more))}, once)
SELECT {with_more(values, more, later)}, true
WHERE NOT EXISTS (SELECT 1 FROM dbqueue_finishedjob WHERE id = %(id)s)
ON CONFLICT (id) DO NOTHING
"""


def names_of(more: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that an INSERT fills, with more columns."""
    return (*INSERTED, *(_LATER.get(name, name) for name in more))


def with_more(values: str, more: tuple[str, ...], later: str = "%({})s") -> str:
    """Return the values of an INSERT with the parameters of more columns.

    `later` is a moment that many seconds from now, as SQL.
    """
    return ", ".join(
        (values, *((later if n in _LATER else "%({})s").format(n) for n in more))
    )
