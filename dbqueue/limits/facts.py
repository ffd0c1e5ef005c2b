"""How many jobs may enter a lane now: a decision about facts, without a database."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

# Jobs of a fair group that are READY at once, so that workers find some and the turns
# still count. It is filled again at half, and is larger next time where that was soon,
# and smaller where it was long after (seconds).
SMALLEST, WINDOW = 8, 200
SOON, LATE = 0.1, 0.5
# Seconds between two tries at a lane whose rate leaves jobs waiting, at least; and
# while what it has let in is not yet claimed.
STEP, UNCLAIMED = 0.01, 0.05
UNLIMITED = 1_000_000  # more than any limit is


@dataclass(slots=True)
class Facts:
    """What is known of the key of a lane, or of a fair group, under its lock."""

    key: str
    concurrency: int | None
    rate: int | None
    per: float | None  # seconds
    burst: int
    is_ordered: bool  # SQLite has numbers for these
    is_fair: bool
    of_group: bool
    spent_until: float | None  # seconds since the epoch, as `now`
    served: str
    turn: int
    weight: int | None
    now: float
    used_at: float
    size: int
    previous: int  # of those that were READY before it last let some in
    is_paused: bool
    # The states of the jobs that it has let in and that are unfinished, by their ids.
    holders: dict[str, str] = field(default_factory=dict)
    _free: int | None = None

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Self:
        """Return the facts of a row of the statement FACTS."""
        facts = cls(*row[:-1])
        if row[-1]:
            pairs = (pair.split(":") for pair in row[-1].split(","))
            facts.holders = dict(pairs)
        return facts

    @property
    def is_group(self) -> bool:
        """Whether it is the key of a fair group, and not of a lane."""
        return ":" not in self.key

    @property
    def most(self) -> int | None:
        """The jobs that may be READY or RUNNING at once; None is any number."""
        if self.is_ordered:
            return 1
        return self.concurrency if self.of_group == self.is_group else None

    @property
    def held(self) -> list[str]:
        """The ids that its row keeps: those that count, and the head of an order."""
        if self.is_ordered:
            return list(self.holders)[:1]
        counted = ("READY",) if self.most is None else ("READY", "RUNNING")
        return [id for id, state in self.holders.items() if state in counted]

    @property
    def head(self) -> str | None:
        """The job of an ordered lane that comes first, whatever its state."""
        return next(iter(self.holders), None) if self.is_ordered else None

    @property
    def step(self) -> float | None:
        """The seconds that one start uses up; None without a rate."""
        if self.rate is None or self.per is None or self.of_group != self.is_group:
            return None
        return self.per / self.rate

    @property
    def spent(self) -> float | None:
        """Until when the rate is used up; GCRA: this one moment is the bucket."""
        if self.step is None:
            return None
        full = self.now - self.burst * self.step
        return full if self.spent_until is None else max(self.spent_until, full)

    def free(self) -> int:
        """Return how many jobs may enter."""
        if self._free is None:
            most = min(self._room(), self._tokens(), self._window())
            self._free = 0 if self.is_paused else max(0, most)
        return self._free

    def again(self, entered: int) -> float | None:
        """Return the seconds until more may enter without an end; None: never.

        `entered` is how many entered now.
        """
        if self.rate is None and not self.is_fair:
            return None  # an end is next
        step, spent = self.step, self.spent
        if self.is_group and self._room() > entered and not self.is_paused:
            if self.previous:
                return UNCLAIMED
            if entered and entered == self._window():
                return STEP * 2
        if step is None or spent is None or self.is_paused or entered < self.free():
            return None
        if self._room() <= entered or self._window() <= entered:
            return None  # an end is next
        if self._uncalled() <= entered:
            return UNCLAIMED
        return max(STEP, spent + (entered + 1) * step - self.now)

    def _room(self) -> int:
        if self.is_ordered:
            return int(self.head is None or self.holders[self.head] == "BLOCKED")
        return UNLIMITED if self.most is None else self.most - len(self.held)

    def _tokens(self) -> int:
        if self.step is None or self.spent is None:
            return UNLIMITED
        tokens = math.floor((self.now - self.spent) / self.step + 1e-6)
        return min(tokens, self._uncalled())

    def _uncalled(self) -> int:
        # What has entered is not what has started: READY jobs would start together.
        return self.burst - self._ready()

    def window(self) -> int:
        """Return how many jobs of a group are to be READY, if it is filled now."""
        if not self.size:
            return SMALLEST
        waited = self.now - self.used_at
        if waited < SOON:
            return min(WINDOW, self.size * 2)
        return max(SMALLEST, self.size // 2) if waited > LATE else self.size

    def _window(self) -> int:
        if not self.is_group:
            return UNLIMITED
        ready = self._ready()
        # Claims go by age: what enters may be older, and pass by. It must not do so
        # again before they have begun.
        if self.previous or ready > self.size // 2:
            return 0
        return self.window() - ready

    def _ready(self) -> int:
        return list(self.holders.values()).count("READY")
