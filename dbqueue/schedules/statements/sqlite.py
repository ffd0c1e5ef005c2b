"""The statement is the writer from its start, and there is only one."""

FIRST = """
SELECT id, (julianday(due_at) - julianday(%(now)s)) * 86400.0
FROM dbqueue_schedule WHERE due_at IS NOT NULL {known} ORDER BY due_at LIMIT 1
"""

KNOWN = """
AND task NOT IN (SELECT value FROM json_each(%(tasks)s))
AND NOT EXISTS (
    SELECT 1 FROM json_each(cadence)
    WHERE key IN (SELECT value FROM json_each(%(kinds)s))
)
"""

_NAMES = (
    *("id", "was", "waited_for", "next_run_at", "due_at", "waiting_for"),
    *("last_run_at", "last_job_id", "fired", "recent", "problem"),
)
_COLUMNS = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in _NAMES)

MOVE = f"""
UPDATE dbqueue_schedule
SET next_run_at = g.next_run_at, due_at = g.due_at, waiting_for = g.waiting_for,
    last_run_at = g.last_run_at, last_job_id = g.last_job_id,
    runs = runs + g.fired, recent = g.recent, problem = g.problem
FROM (SELECT {_COLUMNS} FROM json_each(%(rows)s)) AS g
WHERE dbqueue_schedule.id = g.id AND dbqueue_schedule.next_run_at IS g.was
  AND dbqueue_schedule.waiting_for IS g.waited_for
  AND dbqueue_schedule.due_at <= %(now)s
RETURNING dbqueue_schedule.id
"""
