"""Gates: what lets the BLOCKED jobs of a lane, or of a fair group, become READY.

How many may enter is a wing's business; here is when it is asked.
"""

import time
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from typing import Any

from dbqueue.dialects import hooks

# Before a gate's key, where queues are named otherwise: no queue can be called so. With
# no key after it, any gate may have work.
NEWS = "\x02"
# Seconds until a gate is tried again that somebody else had locked, and after a hint
# that others may have been merged into.
SOON = 0.02
# A job's path through a gate: the queue that it waits in and its lane and fair group.
Moved = Iterable[tuple[str, str | None, str | None]]


class Gates:
    """See Dialect, of which it is a part."""

    alias: str

    def __init__(self) -> None:
        # The gates that are to be tried, and from when on, by the monotonic clock.
        self.owed: dict[str, float] = {}
        # The queues in which gates have made jobs READY, for whoever wakes workers.
        self.admitted: set[str] = set()
        self._heard: set[str] = set()
        # Whether gates need a transaction of their own: those around them see what was
        # there at their begin.
        self.gates_alone = False

    def owe(self, keys: Iterable[str], seconds: float = 0.0) -> None:
        """Have the gates tried with a coming claim; a sweep finds what is forgotten."""
        at = time.monotonic() + seconds
        for key in keys:
            self.owed[key] = min(at, self.owed.get(key, at))

    def hear(self, keys: Collection[str]) -> None:
        """Note news of gates: now, and again, for what the news were merged with."""
        self.owe(keys)
        self._heard.update(keys)

    def next_gate(self) -> float:
        """Return the monotonic moment of the next gate that is owed."""
        return min(self.owed.copy().values(), default=float("inf"))

    def due_gates(self) -> list[str]:
        """Return the gates whose time has come, which are owed no more."""
        now = time.monotonic()
        due = [key for key, at in self.owed.copy().items() if at <= now]
        for key in due:
            self.owed.pop(key, None)
            if key in self._heard:
                self._heard.discard(key)
                self.owed[key] = now + SOON
        return due

    def open_gates(self, keys: Collection[str]) -> set[str]:
        """Let in what fits, in the commit under way; return the queues of what came."""
        if self.gates_alone:
            self.owe(keys)
            return set()
        return self._open(keys)

    def _open(self, keys: Collection[str]) -> set[str]:
        queues: set[str] = set()
        for hook in hooks.open_gates:
            opened = hook(self.alias, keys)
            queues |= opened.queues
            for key, seconds in opened.again.items():
                self.owe([key], seconds)
        self.admitted |= queues
        return queues

    def open_due(self) -> set[str]:
        """Open the gates that are due, in a commit of its own."""
        due = self.due_gates() if self.owed else []
        if not due:
            return set()
        with self.one_commit():
            self.read_committed()
            return self._open(due)

    def read_committed(self) -> None:
        """Have the commit that begins see, in each statement, what others committed."""

    def ask(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Execute a wing's own statement, and return its rows."""
        return self._rows(sql, params)

    def do(self, sql: str, params: dict[str, Any]) -> int:
        """Execute a wing's own statement that returns no rows; return their number."""
        return self._run(sql, params)

    def _rows(self, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def _run(self, sql: str, params: dict[str, Any]) -> int:
        raise NotImplementedError

    def one_commit(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def _promoted(self, moved: Moved) -> set[str]:
        """Return the queues of what became READY, and owe the gates of the rest."""
        rows = list(moved)
        self.owe({str(group or lane) for _, lane, group in rows if lane is not None})
        return {queue for queue, lane, _ in rows if lane is None}
