"""To take packages on PostgreSQL: SKIP LOCKED inside an UPDATE is not the ORM's."""

# Those that came first, and between them those whose lease has ended.
TAKE = """
WITH picked AS MATERIALIZED (
    SELECT id, due_at FROM dbqueue_package
    WHERE cluster = %(cluster)s AND due_at <= statement_timestamp()
    ORDER BY due_at, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
)
UPDATE dbqueue_package AS p
SET attempt = p.attempt + 1, holder = %(holder)s,
    due_at = statement_timestamp() + make_interval(secs => %(lease)s)
FROM picked
WHERE p.id = picked.id AND p.id = ANY(ARRAY(SELECT id FROM picked))
RETURNING picked.due_at, p.id, p.attempt, p.payload
"""
