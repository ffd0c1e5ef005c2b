"""Gates on SQLite: the only writer has all lanes, and moves one after another."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from django.utils import timezone

from dbqueue.limits.facts import Facts
from dbqueue.limits.registry import limit_of
from dbqueue.limits.stores.base import Moved, Note, Picked, Store


class SQLiteStore(Store):
    def lock(self, keys: Collection[str]) -> dict[str, bool]:
        return dict.fromkeys(keys, False)  # the only writer has them all

    def facts(self, keys: Collection[str]) -> list[Facts]:
        rows = self._dialect.ask(self._sql.FACTS, self._pairs(keys))
        return [Facts.of(row) for row in rows]

    def waiting(self, keys: Collection[str], most: int) -> dict[str, int]:
        values = {**self._pairs(list(keys)), "most": most}
        return dict(self._dialect.ask(self._sql.WAITING, values))

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
            "size": note.size,
            "previous": ",".join(note.previous),
            "now": facts.now,
        }
        self._dialect.do(self._sql.NOTE, values)
