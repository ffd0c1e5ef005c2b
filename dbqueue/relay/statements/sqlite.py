"""Rows of messages: %(rows)s are pairs of a job and a token."""

_ROWS = "json_each(%(rows)s)"

# As on PostgreSQL.
WRITE = f"""
INSERT INTO dbqueue_dispatch (job_id, queue_name, number, token, refusal,
    expires_at)
SELECT j.id, j.queue_name, 1, json_extract(n.value, '$[1]'), '', %(later)s
FROM {_ROWS} AS n JOIN dbqueue_job AS j ON j.id = json_extract(n.value, '$[0]')
WHERE j.queue_name = %(queue)s AND j.state = 'READY'
ON CONFLICT (job_id) DO NOTHING
RETURNING token
"""
STILL_WAITING = f"""
SELECT json_extract(n.value, '$[1]')
FROM {_ROWS} AS n JOIN dbqueue_job AS j ON j.id = json_extract(n.value, '$[0]')
WHERE j.queue_name = %(queue)s AND j.state = 'READY'
"""
CONFIRM = f"""
UPDATE dbqueue_dispatch SET confirmed_at = %(now)s, expires_at = %(later)s,
    refusal = ''
WHERE (job_id, token) IN (SELECT json_extract(value, '$[0]'),
    json_extract(value, '$[1]') FROM {_ROWS})
RETURNING 1
"""
