"""Moments that Python cannot hold, as 'infinity' or a year above 9999.

psycopg raises where it meets one, and with it the whole answer would be lost: of a
claim, after it was committed. A worker's connections read it as FAR.
"""

from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from dbqueue.dialects.columns import MOMENTS, ClaimedJob

FAR = datetime.max.replace(tzinfo=UTC)
FAR_NAIVE = datetime.max  # where USE_TZ is False
met: list[bytes] = []  # what was read as FAR since it was last asked for


def tolerate(connection: BaseDatabaseWrapper) -> None:
    """Let the connection read moments that Python cannot hold."""
    import psycopg  # not at the top: projects on SQLite do without
    from psycopg.postgres import types

    # In C where psycopg is: the loader that a module of its own has is some ten times
    # as slow.
    fast: Any = psycopg.adapters.get_loader(
        types["timestamptz"].oid, psycopg.pq.Format.TEXT
    )

    class Loader(psycopg.adapt.Loader):
        # Django asks for it: another loader would be made for each cursor.
        timezone = connection.timezone

        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._fast = fast(oid, context)

        def load(self, data: Any) -> datetime:
            try:
                moment: datetime = self._fast.load(data)
            except (psycopg.DataError, OverflowError):
                met.append(bytes(data))
                return FAR_NAIVE if self.timezone is None else FAR
            return moment.replace(tzinfo=self.timezone)

    connection.connection.adapters.register_loader("timestamptz", Loader)


def examined(jobs: list[ClaimedJob]) -> list[ClaimedJob]:
    """Return the jobs, with the damage to their moments."""
    if met:
        met.clear()
        for job in jobs:
            for name in MOMENTS:
                if getattr(job, name) in (FAR, FAR_NAIVE):
                    job.damage = f"Column {name!r} is not a date that Python can hold."
    return jobs
