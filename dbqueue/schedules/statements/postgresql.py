"""Rows that another keeper moves, or that somebody edits, are left to them."""

NOW = "SELECT extract(epoch FROM statement_timestamp())::float8"

FIRST = """
SELECT id, CASE WHEN isfinite(due_at)
    THEN extract(epoch FROM due_at - statement_timestamp())::float8 END
FROM dbqueue_schedule WHERE due_at IS NOT NULL {known} ORDER BY due_at LIMIT 1
"""

KNOWN = """
AND task NOT IN (SELECT jsonb_array_elements_text(%(tasks)s::jsonb))
AND NOT cadence ?| ARRAY(SELECT jsonb_array_elements_text(%(kinds)s::jsonb))
"""

MOVE = """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS g(
        id uuid, was timestamptz, waited_for timestamptz, next_run_at timestamptz,
        due_at timestamptz, waiting_for timestamptz, last_run_at timestamptz,
        last_job_id uuid, fired int, recent jsonb, problem text)
),
free AS MATERIALIZED (
    SELECT s.id FROM dbqueue_schedule AS s JOIN given AS g ON s.id = g.id
    WHERE s.next_run_at IS NOT DISTINCT FROM g.was
      AND s.waiting_for IS NOT DISTINCT FROM g.waited_for
      AND s.due_at <= statement_timestamp()
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE dbqueue_schedule AS s
SET next_run_at = g.next_run_at, due_at = g.due_at, waiting_for = g.waiting_for,
    last_run_at = g.last_run_at, last_job_id = g.last_job_id,
    runs = s.runs + g.fired, recent = g.recent, problem = g.problem
FROM given AS g
WHERE s.id = g.id AND s.id = ANY(ARRAY(SELECT id FROM free))
RETURNING s.id
"""
