"""The lines of one attempt, bounded in number and length; no database, no logging."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

# Lines that are kept: the first, which say how it began, and the latest.
FIRST, LATEST = 50, 150
LINE_LENGTH = 2_000  # characters
LENGTH = 64_000  # characters of all, of which the first have half at most

Kept = tuple[float, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line that a job has logged.

    `at` is by the clock of the worker's host. Where lines between the first and the
    latest were left out, one stands that says how many; its `level` is "".
    """

    attempt: int
    at: datetime | None
    level: str
    logger: str
    message: str


class Lines:
    """What an attempt has logged so far; threads of the job add to it."""

    def __init__(self) -> None:
        self._first: list[Kept] = []
        self._latest: deque[Kept] = deque()
        self._lock = Lock()
        self.length = 0  # characters
        self.dropped = 0
        self.is_new = False  # since it was last written

    def add(self, at: float, level: str, logger: str, message: str) -> None:
        """Add a line; an older one makes room for it, if need be."""
        line = at, level, logger[:255], _cut(message)
        with self._lock:
            self.is_new = True
            if not self._latest and len(self._first) < FIRST and not self._is_long():
                self._first.append(line)
                self.length += len(line[3])
                return
            self._latest.append(line)
            self.length += len(line[3])
            while len(self._latest) > LATEST or (
                self.length > LENGTH and len(self._latest) > 1
            ):
                self.length -= len(self._latest.popleft()[3])
                self.dropped += 1

    def dumped(self) -> tuple[str, int]:
        """Return all lines as JSON, and how many were left out."""
        with self._lock:
            self.is_new = False
            lines = [self._first, list(self._latest)]
            return json.dumps(lines, ensure_ascii=False), self.dropped

    def _is_long(self) -> bool:
        return self.length > LENGTH // 2


def read(attempt: int, text: str, dropped: int) -> Iterator[LogLine]:
    """Yield the lines of dumped(); none of what was damaged by hand."""
    try:
        first, latest = json.loads(text)
        yield from (_line(attempt, kept) for kept in first)
        if dropped:
            yield LogLine(
                attempt=attempt,
                at=None,
                level="",
                logger="",
                message=f"… {dropped:,} lines were left out.",
            )
        yield from (_line(attempt, kept) for kept in latest)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return


def _line(attempt: int, kept: Any) -> LogLine:
    at, level, logger, message = kept
    moment = datetime.fromtimestamp(at, UTC)
    return LogLine(
        attempt=attempt, at=moment, level=level, logger=logger, message=message
    )


def _cut(message: str) -> str:
    if len(message) <= LINE_LENGTH:
        return message
    half = LINE_LENGTH // 2
    return f"{message[:half]} … {message[-half:]}"
