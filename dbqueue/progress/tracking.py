"""Going through rows, and saying how far that is."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar, cast

from django.db.models import QuerySet

T = TypeVar("T")

INTERVAL = 0.1  # seconds between two words about it; the worker stores fewer
# Seconds until the time left is told: what the first rows took says little.
PATIENCE = 1.0


class Say(Protocol):
    def __call__(
        self, value: float, total: float | None, message: str, left: float | None, /
    ) -> None: ...


class Tracked(Generic[T]):
    """What JobContext.track() returns: rows to go through."""

    def __init__(
        self,
        say: Say,
        rows: Iterable[T] | AsyncIterable[T],
        total: float | None,
        message: str | Callable[[T], str],
    ) -> None:
        self._say = say
        self._rows = rows
        self._total = total
        self._message = message

    def __iter__(self) -> Iterator[T]:
        rows = cast(Iterable[T], self._rows)
        steps = _Steps(self._say, _size(rows, self._total), self._message)
        for row in rows:
            steps.begin(row)
            yield row
            steps.done += 1
        steps.end()

    async def __aiter__(self) -> AsyncIterator[T]:
        total = self._total
        if total is None and isinstance(self._rows, QuerySet):
            total = await self._rows.acount()
        steps = _Steps(self._say, _size(self._rows, total), self._message)
        if isinstance(self._rows, AsyncIterable):
            async for row in self._rows:
                steps.begin(row)
                yield row
                steps.done += 1
        else:
            for row in self._rows:
                steps.begin(row)
                yield row
                steps.done += 1
        steps.end()


class _Steps:
    """How many rows are done, and since when."""

    def __init__(self, say: Say, total: float | None, message: Any) -> None:
        self.done = 0
        self._say = say
        self._total = total
        self._message = message
        self._began = time.monotonic()
        self._due_at = self._began

    def begin(self, row: Any) -> None:
        """Say that a row is next, if it is time."""
        now = time.monotonic()
        if now >= self._due_at:
            self._due_at = now + INTERVAL
            message = self._message
            text = message(row) if callable(message) else message
            self._say(self.done, self._total, text, self._left(now))

    def end(self) -> None:
        """Say that all are done; by now it is known how many they were."""
        text = "" if callable(self._message) else self._message
        self._say(self.done, self.done, text, None)

    def _left(self, now: float) -> float | None:
        elapsed = now - self._began
        if not self._total or not self.done or elapsed < PATIENCE:
            return None
        return round(max(0.0, elapsed / self.done * (self._total - self.done)), 1)


def _size(rows: Any, total: float | None) -> float | None:
    return len(rows) if total is None and hasattr(rows, "__len__") else total
