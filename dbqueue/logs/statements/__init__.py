"""The wing's own SQL, the same for both databases."""

SAVE = """
INSERT INTO dbqueue_joblog (job_id, attempt, lines, dropped)
VALUES (%(job)s, %(attempt)s, %(lines)s, %(dropped)s)
ON CONFLICT (job_id, attempt)
DO UPDATE SET lines = excluded.lines, dropped = excluded.dropped
"""
FORGET = """
DELETE FROM dbqueue_joblog WHERE job_id = %(job)s AND attempt <= %(attempt)s
"""
