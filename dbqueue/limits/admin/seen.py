"""Limits as they are at this moment: who holds their lanes, and how many wait.

It looks at what runs and what is BLOCKED, by their indexes, and at lanes of those.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from dbqueue import status
from dbqueue.limits import stores
from dbqueue.limits.facts import Facts
from dbqueue.limits.models import Lane, LimitRule
from dbqueue.limits.reasons import next_token
from dbqueue.limits.registry import limit_of
from dbqueue.models import Job, Pause, Worker

MOST_LIMITS = 500
MOST_LANES = 1_000  # with jobs that wait, or run
MOST_RUNNING = 1_000  # jobs
MOST_COUNTED = 10_000  # jobs that wait, of all lanes together
MOST_KNOWN = 10_000  # lanes among which is looked for those that were set apart
SHOWN = 100  # lanes on a page


@dataclass(frozen=True, slots=True)
class Holder:
    """A job that runs in a lane."""

    id: UUID
    task: str
    lane: str
    since: datetime | None
    worker_id: UUID | None
    worker: str


@dataclass(slots=True)
class LaneLine:
    """A lane, or a fair group as a whole."""

    facts: Facts
    waiting: int
    holders: list[Holder] = field(default_factory=list)
    pause: Pause | None = None
    # What was set for it alone.
    concurrency: int | None = None
    weight: int | None = None

    @property
    def key(self) -> str:
        return self.facts.key

    @property
    def value(self) -> str:
        """The value of the limit's key; "" of one without."""
        return self.key.partition(":")[2]

    @property
    def held(self) -> int:
        """How many jobs it has let in that count."""
        states = self.facts.holders.values()
        entered = sum(state in ("READY", "RUNNING") for state in states)
        return entered if self.facts.most is not None else len(self.holders)

    @property
    def ready(self) -> int:
        """How many it has let in that no worker has taken yet."""
        return list(self.facts.holders.values()).count("READY")

    @property
    def most(self) -> int | None:
        return self.facts.most

    @property
    def is_full(self) -> bool:
        return self.most is not None and self.held >= self.most

    @property
    def next_token(self) -> float | None:
        """Seconds until its rate lets one start, if it has used it up."""
        return next_token(self.facts) or None

    @property
    def is_idle(self) -> bool:
        was_set = self.concurrency is not None or self.weight is not None
        busy = self.waiting or self.held or self.ready or self.pause
        return not (busy or was_set)


@dataclass(slots=True)
class LimitLine:
    """A limit, with the lanes in which something runs or waits."""

    rule: LimitRule
    pause: Pause | None = None
    group: LaneLine | None = None
    lanes: list[LaneLine] = field(default_factory=list)
    are_more: bool = False  # lanes than were looked at

    @property
    def held(self) -> int:
        if self.group is not None and self.group.most is not None:
            return self.group.held
        return sum(lane.held for lane in self.lanes)

    @property
    def most(self) -> int | None:
        """How many may run at once, where that is one number for all its jobs."""
        if self.group is not None and self.group.most is not None:
            return self.group.most
        lanes = [lane for lane in self.lanes if not lane.is_idle]
        return lanes[0].most if len(lanes) == 1 and not lanes[0].value else None

    @property
    def waiting(self) -> int:
        found = [lane.waiting for lane in self.lanes]
        if self.group is not None:
            found = [self.group.waiting]
        capped = self.are_more or any(isinstance(n, status.AtLeast) for n in found)
        return status.AtLeast(sum(found)) if capped else sum(found)

    @property
    def full(self) -> int:
        """How many of its lanes are full, with jobs that wait for them."""
        return sum(lane.is_full and lane.waiting > 0 for lane in self.lanes)

    @property
    def shown(self) -> list[LaneLine]:
        """The lanes for the page: those first for which most wait."""
        busy = [lane for lane in self.lanes if not lane.is_idle]
        order = sorted(busy, key=lambda lane: (-lane.waiting, -lane.held, lane.key))
        return order[:SHOWN]


def every(alias: str) -> list[LimitLine]:
    """Return the limits of a database, by name."""
    rules = list(LimitRule.objects.using(alias).order_by("pk")[:MOST_LIMITS])
    if not rules:
        return []
    blocked = stores.of(alias).lanes("", "", MOST_LANES)
    return _lines(alias, rules, _holders(_running(alias)), blocked)


def one(alias: str, name: str, lane: str | None) -> LimitLine | None:
    """Return a limit, or None if there is none; with `lane`, only the lane of a key."""
    rule = LimitRule.objects.using(alias).filter(pk=name).first()
    if rule is None:
        return None
    was_set = _set_apart(alias, name)
    group = name if rule.is_fair else ""
    mine = Q(fair_group=name) | Q(lane__startswith=f"{name}:")
    running = _running(alias).filter(mine)
    if lane is None:
        keys = [*was_set, *stores.of(alias).lanes(group, "", MOST_LANES)]
    else:
        keys, running = [lane], running.filter(lane=lane)
    (line,) = _lines(alias, [rule], _holders(running), keys)
    if lane is not None:
        line.lanes = [found for found in line.lanes if found.key == lane]
    for found in line.lanes:
        if (row := was_set.get(found.key)) is not None:
            found.concurrency, found.weight = row.concurrency, row.weight
    return line


def _lines(
    alias: str,
    rules: list[LimitRule],
    holders: dict[str, list[Holder]],
    more: Collection[str],
) -> list[LimitLine]:
    """Return the limits with their lanes in which something runs, and more of them."""
    store, pauses = stores.of(alias), _pauses(alias)
    lines = {rule.name: LimitLine(rule) for rule in rules}
    paused = (key.partition(":")[2] for key in pauses if key.startswith("lane:"))
    keys = {key for key in (*holders, *more, *paused) if limit_of(key) in lines}
    # Of a limit without a key, the one lane that it has.
    keys |= {rule.name if rule.is_fair else f"{rule.name}:" for rule in rules}
    most = max(10, MOST_COUNTED // len(keys))
    waiting = store.waiting(keys, most)
    for facts in store.facts(sorted(keys)):
        found = waiting.get(facts.key, 0)
        count = status.AtLeast(found) if found >= most else found
        pause = pauses.get(f"lane:{facts.key}")
        made = LaneLine(facts, count, holders.get(facts.key, []), pause)
        line = lines[limit_of(facts.key)]
        if facts.is_group:
            line.group = made
        else:
            line.lanes.append(made)
    for line in lines.values():
        line.pause = pauses.get(f"limit:{line.rule.name}")
        line.are_more = len(more) >= MOST_LANES
    return list(lines.values())


def _running(alias: str) -> QuerySet[Job]:
    return Job.objects.using(alias).running().exclude(lane=None)


def _holders(running: QuerySet[Job]) -> dict[str, list[Holder]]:
    worker = Worker.everyone.using(running.db).filter(pk=OuterRef("worker_id"))
    name = Subquery(worker.values("name"))
    columns = ("pk", "task", "lane", "last_attempted_at", "worker_id")
    rows: Any = running.values_list(*columns, name)
    found: dict[str, list[Holder]] = {}
    for id, task, lane, since, worker_id, known in rows[:MOST_RUNNING]:
        holder = Holder(id, task, lane, since, worker_id, known or "")
        found.setdefault(lane, []).append(holder)
    return found


def _pauses(alias: str) -> Mapping[str, Pause]:
    kinds = Q(key__startswith="limit:") | Q(key__startswith="lane:")
    return {p.key: p for p in Pause.objects.using(alias).filter(kinds)[:MOST_LANES]}


def _set_apart(alias: str, name: str) -> dict[str, Lane]:
    """Return the lanes for which operators have set something, by their keys."""
    rows = Lane.objects.using(alias).filter(limit_name=name)
    some = rows.order_by("pk").values("pk")[:MOST_KNOWN]
    was_set = Q(concurrency__isnull=False) | Q(weight__isnull=False)
    found = Lane.objects.using(alias).filter(was_set, pk__in=some)
    return {row.key: row for row in found[:SHOWN]}
