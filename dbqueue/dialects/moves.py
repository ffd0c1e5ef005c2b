"""The moves that are asked for from outside a worker: what databases share of them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from dbqueue.dialects import columns
from dbqueue.dialects.columns import listed
from dbqueue.dialects.listener import NullListener
from dbqueue.dialects.rows import MovedJob
from dbqueue.dialects.statements import ENTRY

WAITING = ("SCHEDULED", "BLOCKED", "PAUSED", "READY")
DUE_STATE = ENTRY.format("")
TOLD = listed(MovedJob._fields)

# What each move changes, and in which states; {now} and {due} are the database's.
CHANGES: dict[str, tuple[tuple[str, ...], str]] = {
    "run_now": (("SCHEDULED",), f"state = {DUE_STATE}, run_after = {{now}}"),
    "reschedule": (
        WAITING,
        f"""state = CASE WHEN {{due}} > {{now}} THEN 'SCHEDULED'
            WHEN state = 'SCHEDULED' THEN {DUE_STATE} ELSE state END,
        run_after = {{due}}""",
    ),
    "move_to": (WAITING, "queue_name = %(value)s"),
    "set_priority": (WAITING, "priority = %(value)s"),
}

# What a job that is run again takes from the history as it is there.
REVIVED = (
    *(
        name
        for name in columns.CARRIED
        if name not in ("worker_id", "progress", "run_after", "unique_key")
    ),
    *columns.JSON,
)
# One that has begun does not get the key back that it had until its start.
KEY_AGAIN = "CASE unique_until WHEN 'F' THEN unique_key END"

# A loose index scan: one probe for each class.
EXCEPTIONS = """
WITH RECURSIVE names(name) AS (
    SELECT min(exception) FROM dbqueue_finishedjob WHERE exception IS NOT NULL
    UNION ALL
    SELECT (SELECT min(exception) FROM dbqueue_finishedjob WHERE exception > name)
    FROM names WHERE name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL
"""


def quoted(states: Sequence[str]) -> str:
    """Return the states as SQL lists them."""
    return ", ".join(f"'{state}'" for state in states)


class OutsideMoves:
    """See Dialect, of which it is a part.

    Each takes ids, passes over the jobs that it does not apply to, and returns the
    others as they are now. One that is locked is waited for, or with `wait=False`
    passed over.
    """

    def change(
        self, move: str, ids: Sequence[UUID], value: Any = None, *, wait: bool = True
    ) -> list[MovedJob]:
        """Make one of the CHANGES of jobs that wait.

        `value` is what is new; to reschedule, a moment or a number of seconds.
        """
        raise NotImplementedError

    def withdraw(
        self, ids: Sequence[UUID], record: dict[str, Any], *, wait: bool = True
    ) -> list[MovedJob]:
        """Move jobs that wait to the history as CANCELLED; `record` is for their log.

        It needs no attempt: that is how often the job was claimed before.
        """
        raise NotImplementedError

    def revive(self, ids: Sequence[UUID]) -> list[MovedJob]:
        """Move finished jobs back, to be run again, with no failures.

        The last entry of their log notes when.
        """
        raise NotImplementedError

    def erase(self, ids: Sequence[UUID]) -> list[MovedJob]:
        """Delete finished jobs."""
        raise NotImplementedError

    def end_listener(self) -> NullListener:
        """Return what hears the ids of jobs that have ended and were awaited."""
        return NullListener()

    def listener_for(self, channel: str) -> NullListener:
        """Return what hears what tell() says on the channel of a wing's own."""
        return NullListener()

    def tell(self, channel: str, text: str) -> None:
        """Say it to whoever listens, after the commit; a hint that never raises."""

    def exceptions(self) -> list[str]:
        """Return the paths of the exceptions by which finished jobs have FAILED."""
        raise NotImplementedError
