"""Where a worker looks for work: its queues in order, and how far it has read each."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Self
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob, in_order
from dbqueue.dialects.rows import QueueHead, Target

WILDCARD = "*"
# Seconds between two looks from the start of the index: the longest that late commits,
# retries and higher priorities can stay unseen behind the low-water mark. It is longer
# where such looks cost more than others, as where vacuum may not remove dead rows.
RESCAN, LONGEST_RESCAN = 0.25, 2.0
RESCAN_SHARE = 0.03  # of a child's time that they may cost it
# The same where gates let jobs in: these have waited, and are behind the mark.
ADMITTED_RESCAN = 0.02
MOST_UNKNOWN = 100  # paths of tasks, as each claim names them all
# Seconds until such a task is looked for again: its module may have been installed, or
# what kept it from being imported may be over.
RETRY_UNKNOWN = 60.0


class UnknownTasks:
    """The dotted paths of tasks that were not found here, with a job's queue."""

    def __init__(self) -> None:
        self.queues: dict[str, str] = {}
        self._until: dict[str, float] = {}  # monotonic
        # What others have to be told of: whatever became unknown, or known again.
        self.changed: set[str] = set()

    def add(self, path: str, queue: str) -> bool:
        """Note a task that was not found; return False if there is no room for it."""
        if path not in self.queues:
            if len(self.queues) >= MOST_UNKNOWN:
                return False
            self.queues[path] = queue
            self.changed.add(path)
        self._until[path] = time.monotonic() + RETRY_UNKNOWN
        return True

    def discard(self, path: str) -> None:
        """Note a task that was found."""
        if self.queues and self.queues.pop(path, None) is not None:
            del self._until[path]
            self.changed.add(path)

    def left_out(self) -> list[str]:
        """Return what claims leave out for now."""
        if not self._until:
            return []
        now = time.monotonic()
        return [path for path, until in self._until.items() if until > now]


class Scan:
    """The queues of one worker, with what it remembers between claims.

    `groups` are lists of queue names or patterns with `*`: an earlier group is emptied
    before a later one; within a group the highest priority goes first, whichever the
    queue. `excluded` are names or patterns left out.
    """

    def __init__(
        self, groups: Sequence[Sequence[str]], excluded: Sequence[str] = ()
    ) -> None:
        self.groups = groups
        self.excluded = excluded
        self._marks: dict[str, Target] = {}
        self._rescan_at = self._hurried_at = 0.0
        self._since = 0.0
        self._is_fresh = False
        self._usual = self._extra = 0.0  # seconds
        self.unknown = UnknownTasks()
        self._left_out: list[str] = []
        # Whether jobs with large columns are left: there is no room for them now.
        self.light = False
        self._exhausted = False
        # Whether the last claim may have left ready jobs.
        self.more = False
        # Whether it passed over a queue that another worker held just then.
        self.owed = False
        # The first jobs of queues that were looked at for their best priorities alone,
        # if any was; and those that brought nothing, as when others have locked them.
        self._heads: list[UUID] = []
        self._barren: list[UUID] = []
        self._news: set[str] = set()

    @classmethod
    def of(cls, described: str) -> Self:
        """Return the scan that described() tells of."""
        parts = described.split(",")
        served = (without_slots(part) for part in parts if not part.startswith("-"))
        groups = [part.split("|") for part in served if part]
        return cls(groups, [part[1:] for part in parts if part.startswith("-")])

    def described(self, slots: Sequence[int | None] = ()) -> str:
        """Return the queues as they are typed, in the order of service.

        `slots` is how many each group has of its own.
        """
        pairs = zip(self.groups, [*slots, *[None] * len(self.groups)], strict=False)
        text = ",".join(with_slots("|".join(group), own) for group, own in pairs)
        return text + "".join(f",-{name}" for name in self.excluded)

    def rank(self, queue: str) -> int | None:
        """Return the position of the queue's group, or None for a queue left out."""
        if any(matches(queue, pattern) for pattern in self.excluded):
            return None
        for rank, patterns in enumerate(self.groups):
            if any(matches(queue, pattern) for pattern in patterns):
                return rank
        return None

    def begin(self) -> None:
        """Begin a look; took() ends it."""
        self._since, self._is_fresh = time.monotonic(), False
        self._heads, self.more = [], False
        self._left_out = self.unknown.left_out()

    def marked(self) -> list[Target]:
        """Return the stretches that go on from the low-water marks, if still fresh."""
        if time.monotonic() >= self._rescan_at:
            return []
        return self._known(self._marks.values())

    def expect(self, news: set[str]) -> None:
        """Note in which queues jobs became ready since the last look; "" is any."""
        self._news |= news

    def admit(self, queues: set[str]) -> None:
        """Note in which queues gates have let jobs in."""
        self._news |= queues
        self._rescan_at = min(self._rescan_at, self._hurried_at)

    def expected(self) -> list[Target]:
        """Return the only queue with news, if nothing else can come before it.

        That is, if all queues are served together, and all were empty when last seen.
        """
        news, self._news = self._news, set()
        if len(news) == 1 and "" not in news and self._exhausted and self._is_of_all():
            return self._known([Target(queue=news.pop())])
        return []

    def fresh(self, heads: Callable[[list[str]], Iterable[QueueHead]]) -> list[Target]:
        """Return the stretches from the start; `heads` is asked only if it matters.

        It gets the tasks whose jobs are left.
        """
        self._marks = {}
        self._is_fresh = True
        if self._is_plain():
            queues = [patterns[0] for patterns in self.groups]
            return self._known(Target(queue) for queue in queues)
        ranked = self._ranked(heads)
        ids = [head.id for _, head in ranked]
        ranks = [rank for rank, _ in ranked]
        if len(set(ranks)) == len(ranks) or ids == self._barren:
            return self._known(Target(head.queue_name) for _, head in ranked)
        # Beside another queue of its group, a queue gives only its best priority: what
        # is below may have to wait for the other's.
        self._heads = ids
        return self._known(
            Target(head.queue_name)
            if ranks.count(rank) == 1
            else Target(head.queue_name, lowest=head.priority)
            for rank, head in ranked
        )

    def heads(self, ask: Callable[..., Iterable[QueueHead]]) -> list[QueueHead]:
        """Return the first job of each queue that is served, in order."""
        return [head for _, head in self._ranked(ask)]

    def _ranked(
        self, ask: Callable[..., Iterable[QueueHead]]
    ) -> list[tuple[int, QueueHead]]:
        ranked = [
            (rank, head)
            for head in ask(self._left_out)
            if (rank := self.rank(head.queue_name)) is not None
        ]
        ranked.sort(key=lambda pair: (pair[0], *in_order(pair[1])))
        return ranked

    def took(self, jobs: Sequence[ClaimedJob], *, exhausted: bool) -> None:
        """Remember how far the claim came, or that it came to the end."""
        self._exhausted = exhausted
        # What is below the best priorities may begin now, if these left room.
        self.more = not exhausted or bool(self._heads)
        if self._heads and not jobs:
            self._barren = self._heads
        now = time.monotonic()
        took = now - self._since
        if self._is_fresh:
            # The lesser of two: one that took long may have waited for something else.
            before, self._extra = self._extra, max(0.0, took - self._usual)
            pause = min(LONGEST_RESCAN, min(before, self._extra) / RESCAN_SHARE)
            self._rescan_at = now + max(RESCAN, pause)
            self._hurried_at = now + max(ADMITTED_RESCAN, pause)
        else:
            self._usual = took
        if exhausted:
            self._marks = {}
            return
        for queue, job in {job.queue_name: job for job in jobs}.items():
            level = job.priority, job.priority
            self._marks[queue] = Target(queue, *level, job.enqueued_at, job.id)

    def _known(self, targets: Iterable[Target]) -> list[Target]:
        if self._left_out or self.light:
            names, light = self._left_out, self.light
            return [target._replace(unknown=names, light=light) for target in targets]
        return list(targets)

    def _is_of_all(self) -> bool:
        groups = [list(patterns) for patterns in self.groups]
        return groups == [[WILDCARD]] and not self.excluded

    def _is_plain(self) -> bool:
        # One name a group: the order is known without asking the database.
        return not self.excluded and all(
            len(patterns) == 1 and WILDCARD not in patterns[0]
            for patterns in self.groups
        )


def with_slots(name: str, slots: int | None) -> str:
    """Return the name as it is typed, with its slots if it has some."""
    if slots is not None:
        return f"{name}:{slots}"
    return f"{name}:" if _SLOTS.search(name) else name  # it only looks like them


def without_slots(text: str) -> str:
    """Return the name in a text of with_slots()."""
    return _SLOTS.sub("", text)


# Behind a name; without a number, that the name itself ends in such a thing.
_SLOTS = re.compile(r":\d*$")


def matches(queue: str, pattern: str) -> bool:
    """Tell whether the pattern, in which only `*` is special, matches the queue."""
    return _compiled(pattern).fullmatch(queue) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (re.escape(part) for part in pattern.split(WILDCARD))
    return re.compile(".*".join(parts), re.DOTALL)
