"""Scheduled jobs made ready when they are due."""

from django.db import OperationalError

from dbqueue import dialects

BATCH = 1000


def promote(alias: str, *, limit: int = BATCH) -> set[str]:
    """Make up to `limit` jobs ready that are due; return their queues."""
    dialect = dialects.of(alias)
    while True:
        try:
            return dialect.promote(limit)
        except OperationalError as error:
            if limit == 1 or not dialect.is_cancelled(error):
                raise
            limit //= 2  # the server allows a statement too little time
