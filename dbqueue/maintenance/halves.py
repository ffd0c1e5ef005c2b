"""Moves of many jobs that go on with fewer where the database refuses some of them."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db import Error

from dbqueue import dialects
from dbqueue.jobs.refusals import set_aside

NOBODY = UUID(int=0)  # a worker that there is not
T = TypeVar("T")


def by_halves(
    alias: str, move: Callable[[int], T], limit: int, first: Callable[[], UUID | None]
) -> tuple[T, int]:
    """Return what `move` of at most so many jobs answers, and how many that were.

    While it is refused, or takes too long, half as many are tried. One alone that is
    refused is the `first`, and is set aside. Raises what else the move raises.
    """
    dialect = dialects.of(alias)
    while True:
        try:
            return move(limit), limit
        except Exception as error:
            is_refused = dialect.refuses(error)
            too_slow = isinstance(error, Error) and dialect.is_cancelled(error)
            if not (is_refused or (too_slow and limit > 1)):
                raise
            if limit == 1:
                refused = first()
                if refused is None or not set_aside(dialect, refused, NOBODY, error):
                    raise
            limit = max(1, limit // 2)
