"""Fair groups: lanes take turns, so that a small one does not wait behind a big one.

Only a window of the group's jobs is READY. It is filled from one lane after the other,
and goes on where it stopped.
"""

from dbqueue.dialects.rows import Opened
from dbqueue.limits import registry
from dbqueue.limits.facts import Facts
from dbqueue.limits.stores import Note, Picked, Store

MOST_LANES, FEWEST_LANES = 200, 16  # lanes that one filling looks at


def open_group(store: Store, group: Facts, opened: Opened) -> None:
    """Let in jobs of the group whose turn it is, under its lock."""
    room = group.free()
    picked: list[Picked] = []
    if room:
        lanes = _next_lanes(store, group, min(MOST_LANES, max(room, FEWEST_LANES)))
        known = _known(store, group, lanes)
        if known:
            picked = _fill(store, group, known, room, opened)
    seconds = group.again(len(picked))
    if seconds is not None:
        opened.again[group.key] = seconds


def _fill(
    store: Store, group: Facts, known: list[Facts], room: int, opened: Opened
) -> list[Picked]:
    lanes = [lane.key for lane in known]
    said = registry.weights(group.key, lanes, store.guarded)
    weights = [lane.weight or said.get(lane.key, 1) for lane in known]
    # A lane whose turn was not over goes on with it.
    ahead = group.turn if lanes[0] == group.served else 0
    if ahead >= weights[0]:
        known, weights = known[1:] + known[:1], weights[1:] + weights[:1]
        ahead = 0
    picked = store.pick(known, weights, ahead, room)
    if picked:
        moved = store.take_in([job.id for job in picked], _notes(group, known, picked))
        opened.queues.update(queue for _, queue in moved)
    return picked


def _next_lanes(store: Store, group: Facts, most: int) -> list[str]:
    """Return the lanes in the order of their turns, from the one that was served."""
    lanes = [group.served] if group.served else []
    for after in [group.served, ""] if group.served else [""]:
        more = store.lanes(group.key, after, most - len(lanes))
        lanes += [lane for lane in more if lane not in lanes]
        if len(lanes) >= most:
            break
    return lanes


def _known(store: Store, group: Facts, lanes: list[str]) -> list[Facts]:
    """Return the facts of the lanes that may start something."""
    if lanes and group.concurrency is not None and not group.of_group:
        locked = store.lock(lanes)
        lanes = [lane for lane in lanes if lane in locked]
    by_key = {facts.key: facts for facts in store.facts(lanes)} if lanes else {}
    known = [by_key[lane] for lane in lanes if lane in by_key]
    return [facts for facts in known if facts.free()]


def _notes(group: Facts, known: list[Facts], picked: list[Picked]) -> list[Note]:
    last = picked[-1]
    ids = [job.id for job in picked]
    ready = [id for id, state in group.holders.items() if state == "READY"]
    turn = last.lane, last.turn
    notes = [Note(group, group.held + ids, len(ids), *turn, group.window(), ready)]
    for lane in known:
        if lane.most is not None:
            own = [job.id for job in picked if job.lane == lane.key]
            if own:
                notes.append(Note(lane, lane.held + own))
    return notes
