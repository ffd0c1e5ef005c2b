"""Moves of many jobs that go on with fewer where the database refuses some of them."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from django.db import Error

from dbqueue import dialects
from dbqueue.dialects import Dialect
from dbqueue.jobs.refusals import set_aside

NOBODY = UUID(int=0)  # a worker that there is not
T = TypeVar("T")
Item = TypeVar("Item")


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
            if not _fewer_may_do(dialect, error, limit):
                raise
            if limit == 1:
                refused = first()
                if refused is None or not set_aside(dialect, refused, NOBODY, error):
                    raise
            limit = max(1, limit // 2)


def of_halves(
    dialect: Dialect,
    items: Sequence[Item],
    move: Callable[[Sequence[Item]], T],
    alone: Callable[[Item, Exception], T],
) -> list[T]:
    """Return what `move` answers to these, or to each part of them that it takes.

    While they are refused, or take too long, they are halved. One alone that is refused
    is for `alone`, with the error. Raises what else the move raises.
    """
    try:
        return [move(items)]
    except Exception as error:
        if not _fewer_may_do(dialect, error, len(items)):
            raise
        if len(items) == 1:
            return [alone(items[0], error)]
    half = len(items) // 2
    parts = items[:half], items[half:]
    return [done for part in parts for done in of_halves(dialect, part, move, alone)]


def _fewer_may_do(dialect: Dialect, error: Exception, count: int) -> bool:
    too_slow = isinstance(error, Error) and dialect.is_cancelled(error)
    return dialect.refuses(error) or (too_slow and count > 1)
