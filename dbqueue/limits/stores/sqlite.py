"""Gates on SQLite: the only writer has all lanes, and moves one after another."""

import json
from collections.abc import Collection, Iterable, Sequence
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
        moved: list[tuple[str, str, str]] = []
        heads = [(one.key, one.head) for one in facts if one.is_ordered]
        if heads:
            moved += self._moved(self._sql.MOVE_HEADS, heads=json.dumps(heads))
        others = [one for one in facts if not one.is_ordered]
        firsts = [one.key for one in others if one.free() == 1]
        if firsts:
            moved += self._moved(self._sql.MOVE_FIRSTS, keys=json.dumps(firsts))
        for one in others:
            if one.free() > 1:
                moved += self._moved(self._sql.MOVE, key=one.key, free=one.free())
        entered = dict[str, list[str]]()
        for id, lane, _ in moved:
            entered.setdefault(lane, []).append(id)
        self._note(
            Note(one, ids if one.is_ordered else one.held + ids, entered=len(ids))
            for one in facts
            if (ids := entered.get(one.key))
        )
        return [(lane, queue) for _, lane, queue in moved]

    def _moved(self, sql: str, **values: Any) -> list[tuple[str, str, str]]:
        rows = self._dialect.ask(sql, values)
        return [(str(id), str(lane), str(queue)) for id, lane, queue in rows]

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
        self._note(notes)
        return moved

    def _note(self, notes: Iterable[Note]) -> None:
        rows = [
            (
                *(note.facts.key, limit_of(note.facts.key), ",".join(note.held)),
                *(note.spent_until, note.served, note.turn, note.size),
                ",".join(note.previous),
            )
            for note in notes
        ]
        if rows:
            values = {"notes": json.dumps(rows), "now": timezone.now().timestamp()}
            self._dialect.do(self._sql.NOTE, values)
