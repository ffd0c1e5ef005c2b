"""What gates ask of a database and write to it."""

import json
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from django.db import connections
from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects.rows import as_kept
from dbqueue.limits.facts import Facts
from dbqueue.limits.statements import of as statements_of
from dbqueue.limits.statements.common import MAKE_RULE

Moved = Sequence[tuple[str, str]]  # the lanes and the queues of what became READY


class Note(NamedTuple):
    """What the row of a lane or of a group is to say."""

    facts: Facts
    held: list[str]
    entered: int = 0
    # Of a group alone.
    served: str = ""
    turn: int = 0
    size: int = 0
    previous: Sequence[str] = ()

    @property
    def spent_until(self) -> float | None:
        spent, step = self.facts.spent, self.facts.step
        return None if spent is None or step is None else spent + self.entered * step


class Picked(NamedTuple):
    """A job whose turn it is: its lane, and its place in the lane's turn."""

    id: str
    lane: str
    turn: int


class Store:
    """The tables of one database, inside a commit."""

    def __init__(self, dialect: dialects.Dialect) -> None:
        self.alias = dialect.alias
        self._dialect = dialect
        self._sql = statements_of(dialect.name)

    def lock(self, keys: Collection[str]) -> dict[str, bool]:
        """Lock what nobody else has locked, for this commit.

        Return those keys, and of each whether fill() is all that it needs.
        """
        raise NotImplementedError

    def fill(self, keys: Collection[str]) -> Moved:
        """Let in what fits into lanes that only count, which lock() has named."""
        raise NotImplementedError

    def facts(self, keys: Collection[str]) -> list[Facts]:
        """Return what is known of the keys; of one without a rule, nothing."""
        raise NotImplementedError

    def waiting(self, keys: Collection[str], most: int) -> dict[str, int]:
        """Return how many jobs are BLOCKED at each key, up to `most` of one."""
        raise NotImplementedError

    def move(self, facts: Sequence[Facts]) -> Moved:
        """Let in from each lane as many as are free."""
        raise NotImplementedError

    def pick(
        self, facts: Sequence[Facts], weights: Sequence[int], ahead: int, room: int
    ) -> list[Picked]:
        """Return the jobs of lanes of a fair group whose turn it is, in order.

        The first lane has started `ahead` of its turn before.
        """
        raise NotImplementedError

    def take_in(self, ids: Sequence[str], notes: Sequence[Note]) -> Moved:
        """Let in the jobs, and write the notes."""
        raise NotImplementedError

    def pull(self, ids: Collection[str]) -> int:
        """Make those of the jobs BLOCKED that are READY; return how many."""
        return len(self._dialect.ask(self._sql.PULL, {"ids": self._ids(ids)}))

    def surplus(self, ids: Collection[str], most: int) -> list[str]:
        """Return up to `most` of the jobs that are READY, those to be pulled first."""
        values = {"ids": self._ids(ids), "most": most}
        return [str(id) for (id,) in self._dialect.ask(self._sql.SURPLUS, values)]

    def lanes(self, group: str, after: str, most: int) -> list[str]:
        """Return up to `most` lanes with BLOCKED jobs, by key; "" is no group."""
        values = {"group": group, "after": after, "most": most}
        return [lane for (lane,) in self._dialect.ask(self._sql.LANES, values)]

    def groups(self) -> list[str]:
        """Return the fair groups with BLOCKED jobs."""
        return [name for (name,) in self._dialect.ask(self._sql.GROUPS, {})]

    def make_rule(self, values: dict[str, Any]) -> None:
        """Make the row of a rule, if there is none."""
        operations: Any = connections[self.alias].ops
        now = operations.adapt_datetimefield_value(as_kept(timezone.now()))
        self._dialect.do(MAKE_RULE, values | {"now": now})

    def guarded(self) -> AbstractContextManager[Any]:
        """Return a block of somebody else's code, whose query may fail."""
        return nullcontext()

    def lock_limit(self, name: str) -> None:
        """Wait until no gate has a lane of the limit, and keep all of them shut."""

    def now(self) -> float:
        """Return the seconds since the epoch, by the database's clock."""
        return timezone.now().timestamp()

    def _ids(self, ids: Collection[str]) -> Any:
        return json.dumps(list(ids))
