"""The statements of PostgreSQL that write jobs."""

from functools import lru_cache

from dbqueue.dialects import columns
from dbqueue.dialects.columns import inserted, listed
from dbqueue.dialects.statements import ENTRY, insert_once, names_of, with_more

DUE = """coalesce(%(run_after)s::timestamptz,
    statement_timestamp() + %(delay)s::float8 * interval '1 second')"""
STATE = f"CASE WHEN {DUE} > statement_timestamp() THEN 'SCHEDULED' ELSE {{}} END"
_INSERT = f"INSERT INTO dbqueue_job ({listed(columns.INSERTED)})"
# What is given in seconds from now.
LATER = "statement_timestamp() + %({})s::float8 * interval '1 second'"
NEW = {
    "attempt": "0",
    "failures": "0",
    "attempt_log": "'[]'",
    "enqueued_at": "statement_timestamp()",
}

# What most jobs are: ready at once, under an id that is new.
INSERT_READY = f"""
{_INSERT} VALUES ({inserted(**NEW, state="'READY'", run_after="NULL")})
RETURNING enqueued_at
"""

_WRITTEN = "RETURNING state, enqueued_at, run_after"


@lru_cache
def insert_with(more: tuple[str, ...], state: str, *, once: bool) -> str:
    """Return the INSERT of a job that may have more columns; `state` if it is due."""
    values = inserted(**NEW, state=STATE.format(f"'{state}'"), run_after=DUE)
    if once:
        return f"{insert_once(values, more, LATER)} {_WRITTEN}"
    names = listed(names_of(more))
    row = with_more(values, more, LATER)
    return f"INSERT INTO dbqueue_job ({names}) VALUES ({row}) {_WRITTEN}"


OF_EACH = {"id": "n.id", "args": "n.args::jsonb", "kwargs": "n.kwargs::jsonb"}


# The values come as one text for each column: psycopg takes a microsecond for each item
# of a list.
@lru_cache
def insert_many(same: tuple[str, ...], of_each: tuple[str, ...]) -> str:
    """Return the INSERT of many jobs; more columns are the same, or one of each."""
    entry = "'BLOCKED'" if "lane" in same else "'READY'"
    of_one = ENTRY.format("n.") if "lane" in of_each else entry
    values = inserted(**NEW, **OF_EACH, state=STATE.format(of_one), run_after=DUE)
    each = [f"n.{name}" for name in of_each]
    more = [f"json_array_elements_text(%({name})s::json)" for name in of_each]
    return f"""
WITH written AS (
INSERT INTO dbqueue_job ({listed((*names_of(same), *of_each))})
SELECT {", ".join((with_more(values, same, LATER), *each))}
FROM ROWS FROM ({
        ", ".join(
            (
                "unnest(%(ids)s::uuid[])",
                "json_array_elements(%(args)s::json)",
                "json_array_elements(%(kwargs)s::json)",
                *more,
            )
        )
    }) AS n({listed(("id", "args", "kwargs", *of_each))})
)
SELECT {STATE.format(entry)}, statement_timestamp(), {DUE}
"""
