"""What gates ask of the database and write to it; one class for each database."""

import json
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from django.db import connections, transaction
from django.utils import timezone

from dbqueue import dialects
from dbqueue.dialects.rows import as_kept
from dbqueue.limits.facts import Facts
from dbqueue.limits.registry import limit_of
from dbqueue.limits.statements import of as statements_of
from dbqueue.limits.statements.common import MAKE_RULE

Moved = Sequence[tuple[str, str]]  # the lanes and the queues of what became READY


class Note(NamedTuple):
    """What the row of a lane or of a group is to say."""

    facts: Facts
    held: list[str]
    entered: int = 0
    served: str = ""
    turn: int = 0

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

    def lock(self, keys: Collection[str]) -> list[str]:
        """Lock what nobody else has locked, for this commit; return those keys."""
        raise NotImplementedError

    def facts(self, keys: Collection[str]) -> list[Facts]:
        """Return what is known of the keys; of one without a rule, nothing."""
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

    def make(self, keys: Sequence[str]) -> None:
        """Make the rows of lanes, where there are none."""
        raise NotImplementedError

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


class PostgreSQLStore(Store):
    def lock(self, keys: Collection[str]) -> list[str]:
        known = self._lock(keys)
        missing = sorted(set(keys) - set(known))
        if not missing:
            return known
        if not known and self._is_blind():
            self._dialect.gates_alone = True
            return []
        found = self._dialect.ask(self._sql.EXISTING, {"keys": missing})
        new = sorted(set(missing) - {key for (key,) in found})
        if not new:
            return known
        self.make(new)
        return known + self._lock(new)

    def make(self, keys: Sequence[str]) -> None:
        values = {"keys": list(keys), "names": [limit_of(key) for key in keys]}
        self._dialect.do(self._sql.MAKE, values)

    def guarded(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.alias)

    def _is_blind(self) -> bool:
        """Tell whether this transaction sees no commits of after its begin."""
        ((level,),) = self._dialect.ask(self._sql.ISOLATION, {})
        return bool(level != "read committed")

    def _lock(self, keys: Collection[str]) -> list[str]:
        values = {"keys": list(keys), "limits": list({limit_of(key) for key in keys})}
        return [key for (key,) in self._dialect.ask(self._sql.LOCK, values)]

    def facts(self, keys: Collection[str]) -> list[Facts]:
        values = {"keys": list(keys), "names": [limit_of(key) for key in keys]}
        return [Facts.of(row) for row in self._dialect.ask(self._sql.FACTS, values)]

    def move(self, facts: Sequence[Facts]) -> Moved:
        moved: list[tuple[str, str]] = []
        for sql, is_ordered in ((self._sql.MOVE, False), (self._sql.MOVE_HEADS, True)):
            some = [one for one in facts if one.is_ordered == is_ordered]
            if some:
                values = {
                    "keys": [one.key for one in some],
                    "free": [one.free() for one in some],
                    "held": ["" if is_ordered else ",".join(one.held) for one in some],
                    "heads": [one.head for one in some],
                    "spent": [one.spent for one in some],
                    "steps": [one.step for one in some],
                }
                moved += self._dialect.ask(sql, values)
        return moved

    def pick(
        self, facts: Sequence[Facts], weights: Sequence[int], ahead: int, room: int
    ) -> list[Picked]:
        values = {
            "group": limit_of(facts[0].key),
            "keys": [one.key for one in facts],
            "weights": list(weights),
            "ahead": [ahead, *[0] * (len(facts) - 1)],
            "most": [min(room, one.free()) for one in facts],
            "room": room,
        }
        rows = self._dialect.ask(self._sql.PICK, values)
        return [Picked(str(id), lane, turn) for id, lane, turn in rows]

    def take_in(self, ids: Sequence[str], notes: Sequence[Note]) -> Moved:
        moved = self._dialect.ask(self._sql.TAKE_IN, {"ids": self._ids(ids)})
        values = {
            "keys": [note.facts.key for note in notes],
            "held": [",".join(note.held) for note in notes],
            "spent": [note.spent_until for note in notes],
            "served": [note.served for note in notes],
            "turns": [note.turn for note in notes],
        }
        self._dialect.do(self._sql.NOTE, values)
        return moved

    def lock_limit(self, name: str) -> None:
        self._dialect.ask(self._sql.LOCK_LIMIT, {"name": name})

    def now(self) -> float:
        ((now,),) = self._dialect.ask(self._sql.NOW, {})
        return float(now)

    def _ids(self, ids: Collection[str]) -> Any:
        return "{" + ",".join(ids) + "}"


class SQLiteStore(Store):
    def lock(self, keys: Collection[str]) -> list[str]:
        return list(keys)  # the only writer has them all

    def make(self, keys: Sequence[str]) -> None:
        self._dialect.do(self._sql.MAKE, self._pairs(keys))

    def facts(self, keys: Collection[str]) -> list[Facts]:
        rows = self._dialect.ask(self._sql.FACTS, self._pairs(keys))
        return [Facts.of(row) for row in rows]

    def _pairs(self, keys: Collection[str]) -> dict[str, Any]:
        pairs = json.dumps([(key, limit_of(key)) for key in keys])
        return {"pairs": pairs, "now": timezone.now().timestamp()}

    def move(self, facts: Sequence[Facts]) -> Moved:
        moved: list[tuple[str, str]] = []
        for one in facts:
            sql = self._sql.MOVE_HEADS if one.is_ordered else self._sql.MOVE
            values = {"key": one.key, "free": one.free(), "head": one.head}
            rows = self._dialect.ask(sql, values)
            if rows:
                ids = [str(id) for id, _ in rows]
                held = ids if one.is_ordered else one.held + ids
                self._note(Note(one, held, entered=len(ids)))
                moved += [(one.key, queue) for _, queue in rows]
        return moved

    def pick(
        self, facts: Sequence[Facts], weights: Sequence[int], ahead: int, room: int
    ) -> list[Picked]:
        wanted = [
            (one.key, weight, 0 if n else ahead)
            for n, (one, weight) in enumerate(zip(facts, weights, strict=True))
        ]
        values: dict[str, Any] = {"group": limit_of(facts[0].key), "room": room}
        values["wanted"] = json.dumps(wanted)
        for n, one in enumerate(facts):
            values |= {f"key{n}": one.key, f"most{n}": min(room, one.free())}
        rows = self._dialect.ask(self._sql.pick(len(facts)), values)
        return [Picked(*row) for row in rows]

    def take_in(self, ids: Sequence[str], notes: Sequence[Note]) -> Moved:
        moved = self._dialect.ask(self._sql.TAKE_IN, {"ids": self._ids(ids)})
        for note in notes:
            self._note(note)
        return moved

    def _note(self, note: Note) -> None:
        facts = note.facts
        values = {
            "key": facts.key,
            "name": limit_of(facts.key),
            "held": ",".join(note.held),
            "spent": note.spent_until,
            "served": note.served,
            "turn": note.turn,
            "now": facts.now,
        }
        self._dialect.do(self._sql.NOTE, values)


def of(alias: str) -> Store:
    """Return the store of the database."""
    dialect = dialects.of(alias)
    return _KINDS[dialect.name](dialect)


_KINDS = {"postgresql": PostgreSQLStore, "sqlite": SQLiteStore}
