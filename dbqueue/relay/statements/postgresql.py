"""Rows of messages, hundreds in a statement: %(rows)s are pairs of a job and a token.

The ORM would look at each value of each for longer than the server does.
"""

_ROWS = """(SELECT (pair ->> 0)::uuid AS job_id, (pair ->> 1)::uuid AS token
    FROM json_array_elements(%(rows)s::json) AS given(pair)) AS n"""
_LATER = "statement_timestamp() + make_interval(secs => %(seconds)s)"

# Of two relays, the second writes no row for a job; nor is any for one that has ended.
# Both write in the same order, or each might wait for the other.
WRITE = f"""
INSERT INTO dbqueue_dispatch (job_id, queue_name, number, token, refusal,
    expires_at)
SELECT n.job_id, j.queue_name, 1, n.token, '', {_LATER}
FROM {_ROWS} JOIN dbqueue_job j ON j.id = n.job_id
WHERE j.queue_name = %(queue)s AND j.state = 'READY'
ORDER BY n.job_id
ON CONFLICT (job_id) DO NOTHING
RETURNING token
"""
# Asked after that: while it was written, one may have ended, and its row was gone.
STILL_WAITING = f"""
SELECT n.token
FROM {_ROWS} JOIN dbqueue_job j ON j.id = n.job_id
WHERE j.queue_name = %(queue)s AND j.state = 'READY'
"""
# Locked in the order in which starts of jobs lock them.
CONFIRM = f"""
WITH held AS MATERIALIZED (
    SELECT d.job_id FROM dbqueue_dispatch d
    JOIN {_ROWS} ON d.job_id = n.job_id AND d.token = n.token
    ORDER BY d.job_id FOR UPDATE OF d
)
UPDATE dbqueue_dispatch
SET confirmed_at = statement_timestamp(), expires_at = {_LATER}, refusal = ''
WHERE job_id = ANY(ARRAY(SELECT job_id FROM held))
RETURNING 1
"""
