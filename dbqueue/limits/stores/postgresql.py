"""Gates on PostgreSQL: they lock rows, and move the jobs of many lanes at once."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django.db import transaction

from dbqueue.limits.facts import Facts
from dbqueue.limits.registry import limit_of
from dbqueue.limits.stores.base import Moved, Note, Picked, Store


class PostgreSQLStore(Store):
    def lock(self, keys: Collection[str]) -> dict[str, bool]:
        names = [limit_of(key) for key in keys]
        values = {"keys": keys, "names": names, "limits": set(names)}
        ours = dict(self._ask(self._sql.LOCK, values))
        if not ours and self._is_blind():
            self._dialect.gates_alone = True
        return ours

    def guarded(self) -> AbstractContextManager[Any]:
        return transaction.atomic(using=self.alias)

    def _is_blind(self) -> bool:
        """Tell whether this transaction sees no commits of after its begin."""
        ((level,),) = self._dialect.ask(self._sql.ISOLATION, {})
        return bool(level != "read committed")

    def facts(self, keys: Collection[str]) -> list[Facts]:
        values = {"keys": keys, "names": [limit_of(key) for key in keys]}
        return [Facts.of(row) for row in self._ask(self._sql.FACTS, values)]

    def waiting(self, keys: Collection[str], most: int) -> dict[str, int]:
        names = [limit_of(key) for key in keys]
        values = {"keys": list(keys), "names": names, "most": most}
        return dict(self._dialect.ask(self._sql.WAITING, values))

    def move(self, facts: Sequence[Facts]) -> Moved:
        moved: list[tuple[str, str]] = []
        for sql, is_ordered in ((self._sql.MOVE, False), (self._sql.MOVE_HEADS, True)):
            some = [one for one in facts if one.is_ordered == is_ordered]
            if some:
                values: dict[str, list[Any]] = {
                    "keys": [one.key for one in some],
                    "free": [one.free() for one in some],
                    "held": ["" if is_ordered else ",".join(one.held) for one in some],
                    "heads": [one.head for one in some],
                    "spent": [one.spent for one in some],
                    "steps": [one.step for one in some],
                }
                moved += self._ask(sql, values)
        return moved

    def fill(self, keys: Collection[str]) -> Moved:
        return self._ask(self._sql.FILL, {"keys": keys})

    def pick(
        self, facts: Sequence[Facts], weights: Sequence[int], ahead: int, room: int
    ) -> list[Picked]:
        group = limit_of(facts[0].key)
        values: dict[str, list[Any]] = {
            "keys": [one.key for one in facts],
            "weights": list(weights),
            "ahead": [ahead, *[0] * (len(facts) - 1)],
            "most": [min(room, one.free()) for one in facts],
        }
        rows = self._ask(self._sql.PICK, values, room=room, group=group)
        return [Picked(str(id), lane, turn) for id, lane, turn in rows]

    def take_in(self, ids: Sequence[str], notes: Sequence[Note]) -> Moved:
        moved = self._dialect.ask(self._sql.TAKE_IN, {"ids": self._ids(ids)})
        values: dict[str, list[Any]] = {
            "keys": [note.facts.key for note in notes],
            "held": [",".join(note.held) for note in notes],
            "spent": [note.spent_until for note in notes],
            "served": [note.served for note in notes],
            "turns": [note.turn for note in notes],
            "sizes": [note.size for note in notes],
            "previous": [",".join(note.previous) for note in notes],
        }
        self._dialect.do(self._sql.NOTE, _arrays(values))
        return moved

    def _ask(
        self, sql: str, values: Mapping[str, Collection[Any]], **more: Any
    ) -> list[tuple[Any, ...]]:
        return self._dialect.ask(sql, _arrays(values) | more)

    def lock_limit(self, name: str) -> None:
        self._dialect.ask(self._sql.LOCK_LIMIT, {"name": name})

    def now(self) -> float:
        ((now,),) = self._dialect.ask(self._sql.NOW, {})
        return float(now)

    def _ids(self, ids: Collection[str]) -> Any:
        return "{" + ",".join(ids) + "}"


def _arrays(values: Mapping[str, Collection[Any]]) -> dict[str, Any]:
    # As text: the driver looks at each item of a list for longer than the server does.
    return {name: f"{{{','.join(map(_item, some))}}}" for name, some in values.items()}


def _item(value: object) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "NULL" if value is None else str(value)
