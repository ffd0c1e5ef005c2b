"""Gates: BLOCKED jobs become READY, under the lock of their lane, and counted."""

from collections import Counter
from collections.abc import Collection, Sequence

from dbqueue import dialects
from dbqueue.dialects.rows import Opened
from dbqueue.limits import rules, stores, turns
from dbqueue.limits.facts import Facts
from dbqueue.limits.registry import limit_of
from dbqueue.limits.stores import Store

MOST = 1000  # lanes that a sweep looks at
# Seconds until a gate is tried again that somebody else had locked; a commit is short.
LOCKED = 0.005
TOGETHER = 200  # gates that a sweep opens in one commit

# How far the sweeps of this process have come, by alias: the last lane.
_swept: dict[str, str] = {}


def open_gates(alias: str, keys: Collection[str]) -> Opened:
    """Let in what has room, in the commit under way; see dialects.hooks.

    What somebody else has locked is to be tried again soon.
    """
    store = stores.of(alias)
    locked = store.lock(sorted(keys))
    opened = Opened(set(), dict.fromkeys(set(keys) - locked.keys(), LOCKED))
    if counting := [key for key, only_counts in locked.items() if only_counts]:
        opened.queues.update(queue for _, queue in store.fill(counting))
    known = _known(store, [key for key in locked if not locked[key]])
    _open_lanes(store, [facts for facts in known if not facts.is_group], opened)
    for group in known:
        if group.is_group:
            turns.open_group(store, group, opened)
    return opened


def _known(store: Store, keys: Sequence[str]) -> list[Facts]:
    """Return the facts of the keys; a rule that only the code knows is written."""
    known = store.facts(keys) if keys else []
    without = set(keys) - {facts.key for facts in known}
    if without and rules.ensure(store.alias, {limit_of(key) for key in without}):
        known += store.facts(sorted(without))
    return known


def _open_lanes(store: Store, known: Sequence[Facts], opened: Opened) -> None:
    free = [facts for facts in known if facts.free()]
    moved = store.move(free) if free else []
    opened.queues.update(queue for _, queue in moved)
    entered = Counter(lane for lane, _ in moved)
    for facts in known:
        seconds = facts.again(entered[facts.key])
        if seconds is not None:
            opened.again[facts.key] = seconds


def sweep(alias: str) -> Opened:
    """Open the gates that have room and BLOCKED jobs, whatever news was lost.

    Of very many lanes, each sweep looks at the next.
    """
    dialect, store = dialects.of(alias), stores.of(alias)
    lanes = store.lanes("", _swept.get(alias, ""), MOST)
    _swept[alias] = lanes[-1] if len(lanes) == MOST else ""
    keys = [*lanes, *store.groups()]
    opened = Opened(set(), {})
    # Most are full, and to look at them takes no lock.
    known = {facts.key: facts for facts in store.facts(keys)} if keys else {}
    free = [key for key in keys if key not in known or known[key].free()]
    for facts in known.values():
        seconds = facts.again(0)
        if seconds is not None:
            opened.again[facts.key] = seconds
    for first in range(0, len(free), TOGETHER):
        with dialect.one_commit():
            dialect.read_committed()
            some = open_gates(alias, free[first : first + TOGETHER])
        opened.queues.update(some.queues)
        opened.again.update(some.again)
    return opened
