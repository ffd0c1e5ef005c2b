"""To take packages on SQLite, where whoever writes is alone.

A look comes first: it keeps clusters that find nothing from becoming the writer.
"""

_DUE = """SELECT id FROM dbqueue_package
    WHERE cluster = %(cluster)s AND due_at <= %(now)s
    ORDER BY due_at, id LIMIT %(most)s"""
PEEK = f"SELECT EXISTS ({_DUE})"
# RETURNING has the moment that was written, and an order that is nobody's.
PLACES = f"SELECT id, due_at FROM dbqueue_package WHERE id IN ({_DUE})"
TAKE = f"""
UPDATE dbqueue_package
SET attempt = attempt + 1, holder = %(holder)s, due_at = %(until)s
WHERE id IN ({_DUE})
RETURNING id, attempt, payload
"""
