"""The moves, each of a few jobs; one guarded statement decides for each job.

They take ids, as many as fit one statement, and join the caller's transaction if there
is one: a wing may cause a move in a commit of its own. Many jobs, or those that have
something in common, are moved through a Selection.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from dbqueue import dialects
from dbqueue.dialects import hooks
from dbqueue.dialects.moves import CHANGES, WAITING
from dbqueue.dialects.rows import (
    UNEXPLAINED,
    MovedJob,
    Outcome,
    Request,
    ended_in_waiting,
)
from dbqueue.jobs import expiry, retention
from dbqueue.jobs.moves.news import tell
from dbqueue.jobs.moves.stopping import request_cancel
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.models.job import HAS_KEY
from dbqueue.tasks import options, payload
from dbqueue.tasks.moves import Moved

FINISHED = (JobState.SUCCESSFUL, JobState.FAILED, JobState.CANCELLED)
# The states of jobs that each move is for.
APPLIES: dict[str, tuple[str, ...]] = {
    "cancel": (*WAITING, JobState.RUNNING),
    "retry": FINISHED,
    "discard": FINISHED,
    **{move: states for move, (states, _) in CHANGES.items()},
}
LENGTHS = 255, 500  # characters that are kept of who has cancelled a job, and why
TRIES = 3  # at jobs that others change at the same time

# Takes ids and `wait`, which says what to do about locked jobs; returns what it moved.
Step = Callable[..., Sequence[MovedJob]]


def make_due(alias: str, *, excluding: Collection[UUID] = ()) -> int:
    """Make all scheduled jobs due now, before their time; return how many there were.

    A worker promotes them next.
    """
    waiting = Job.objects.using(alias).scheduled().exclude(pk__in=excluding)
    return waiting.update(run_after=dialects.of(alias).clock())


def cancel(alias: str, ids: Iterable[UUID], *, reason: str = "", by: str = "") -> Moved:
    """End jobs that wait as CANCELLED, and ask running ones to stop.

    `reason`, and `by`, who wants it, are for the record.
    """
    texts = (payload.printable(str(text)) for text in (by, reason))
    request = Request(*(t[:most] for t, most in zip(texts, LENGTHS, strict=True)))
    withdraw = partial(_withdraw, alias, request)
    answer, left = Moved(move="cancel"), list(ids)
    for _ in range(TRIES):
        moved, passed = _move(alias, "cancel", left, withdraw, request)
        answer.add(moved)
        running = [id for id in passed if passed[id] == JobState.RUNNING]
        others = {i: s for i, s in passed.items() if s != JobState.RUNNING}
        _skip(answer, others)
        asked = request_cancel(alias, running, request) if running else []
        answer.add(Moved(move="cancel", asked=len(asked), ids=list(map(str, asked))))
        # Those of the rest that still run were asked before; the others have moved on.
        here = states(alias, set(running) - set(asked))
        left = [id for id in here if here[id] != JobState.RUNNING]
        _skip(answer, dict.fromkeys(here.keys() - set(left), "STOPPING"))
        if not left:
            break
    return _skip(answer, dict.fromkeys(left, "BUSY"))


def retry(alias: str, ids: Iterable[UUID]) -> Moved:
    """Run finished jobs again, under the same ids and with no failures."""
    revive = partial(_of_history, alias, "revive")
    answer, passed = _move(alias, "retry", ids, revive)
    taken = keys_taken(alias, passed)
    return _skip(answer, passed | dict.fromkeys(taken, "UNIQUE"))


def discard(alias: str, ids: Iterable[UUID]) -> Moved:
    """Delete the records of finished jobs."""
    return _skip(*_move(alias, "discard", ids, partial(_erase, alias)))


def run_now(alias: str, ids: Iterable[UUID]) -> Moved:
    """Make scheduled jobs due."""
    return _change(alias, "run_now", ids)


def reschedule(
    alias: str, ids: Iterable[UUID], run_after: datetime | timedelta
) -> Moved:
    """Have jobs that wait run at a moment, or so long from now.

    Raises InvalidTask for what is neither.
    """
    options.check_moment(run_after)
    if isinstance(run_after, timedelta):
        return _change(alias, "reschedule", ids, run_after.total_seconds())
    return _change(alias, "reschedule", ids, run_after)


def move_to(alias: str, ids: Iterable[UUID], queue_name: str) -> Moved:
    """Put jobs that wait into another queue. Raises InvalidTask for its name."""
    options.check_queue_name(queue_name)
    return _change(alias, "move_to", ids, queue_name)


def set_priority(alias: str, ids: Iterable[UUID], priority: int) -> Moved:
    """Give jobs that wait another priority. Raises InvalidTask for what is none."""
    options.check_priority(priority)
    return _change(alias, "set_priority", ids, int(priority))


def _change(alias: str, move: str, ids: Iterable[UUID], value: Any = None) -> Moved:
    def change(some: Sequence[UUID], *, wait: bool) -> Sequence[MovedJob]:
        return dialects.of(alias).change(move, some, value, wait=wait)

    return _skip(*_move(alias, move, ids, change))


def _of_history(
    alias: str, name: str, ids: Sequence[UUID], *, wait: bool
) -> Sequence[MovedJob]:
    # In order, whoever asks: nobody waits for long, and none for each other.
    moved: Sequence[MovedJob] = getattr(dialects.of(alias), name)(ids)
    return moved


def _erase(alias: str, ids: Sequence[UUID], *, wait: bool) -> Sequence[MovedJob]:
    with dialects.of(alias).one_commit():
        gone = _of_history(alias, "erase", ids, wait=wait)
        for hook in hooks.after_delete:
            hook(alias, [job.id for job in gone])
    return gone


def expire(alias: str, ids: Sequence[UUID]) -> Sequence[MovedJob]:
    """End jobs that wait as CANCELLED, because it is too late to start them."""
    gone = _withdrawn(alias, expiry.record(), ids, wait=False)
    tell(alias, "expire", gone)
    return gone


def _withdraw(
    alias: str, request: Request, ids: Sequence[UUID], *, wait: bool
) -> Sequence[MovedJob]:
    record = ended_in_waiting() | request.noted()
    return _withdrawn(alias, record, ids, wait=wait)


def _withdrawn(
    alias: str, record: dict[str, Any], ids: Sequence[UUID], *, wait: bool
) -> Sequence[MovedJob]:
    dialect, state = dialects.of(alias), JobState.CANCELLED
    with dialect.one_commit():
        gone = dialect.withdraw(ids, record, wait=wait)
        retention.keep(alias, gone)
        outcomes = [
            Outcome(id=job.id, attempt=job.attempt, state=state, record=record)
            for job in gone
        ]
        for hook in hooks.after_record:
            hook(alias, outcomes)
        for end_hook in hooks.after_end if gone else ():
            end_hook(alias, gone)
    return gone


def _move(
    alias: str,
    move: str,
    ids: Iterable[UUID],
    step: Step,
    request: Request = UNEXPLAINED,
) -> tuple[Moved, dict[UUID, str]]:
    """Take the step; return what it did, and the states of all other jobs.

    One that is locked may be in the middle of a claim: the others are moved first, and
    then it is waited for.
    """
    answer = Moved(move=move)
    passed: dict[UUID, str] = {}
    left = list(dict.fromkeys(ids))
    for turn in range(TRIES):
        portions = [[id] for id in left] if turn else [left]
        moved = [job for some in portions for job in step(some, wait=len(some) == 1)]
        tell(alias, move, moved, request)
        done = {job.id for job in moved}
        ids_done = [str(id) for id in left if id in done]
        answer.add(Moved(move=move, done=len(done), ids=ids_done))
        here = states(alias, [id for id in left if id not in done])
        movable = _movable(move)
        left = [id for id in here if here[id] in movable]
        passed |= {id: state for id, state in here.items() if state not in movable}
        if not left:
            break
    return answer, passed | dict.fromkeys(left, "BUSY")


def _movable(move: str) -> Collection[str]:
    return WAITING if move == "cancel" else APPLIES[move]


def _skip(answer: Moved, left: dict[UUID, str]) -> Moved:
    for state in left.values():
        answer.add(Moved(move=answer.move, skipped={state.lower(): 1}))
    return answer


def keys_taken(alias: str, ids: Collection[UUID]) -> set[UUID]:
    """Return the finished jobs of which an unfinished one has the key."""
    if not ids:
        return set()
    finished = FinishedJob.objects.using(alias).filter(pk__in=ids, unique_until="F")
    keys = dict(finished.exclude(unique_key=None).values_list("pk", "unique_key"))
    unfinished = Job.objects.using(alias).filter(unique_key__in=keys.values())
    taken = set(unfinished.filter(HAS_KEY).values_list("unique_key", flat=True))
    return {id for id, key in keys.items() if key in taken}


def states(alias: str, ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the state of each job; of one that there is not, "UNKNOWN"."""
    found = dict.fromkeys(ids, "UNKNOWN")
    if ids:
        # In this order: a job that finishes in between is found in the history.
        for model in (Job, FinishedJob):
            rows = model.objects.using(alias).filter(pk__in=ids)
            found |= rows.values_list("pk", "state")
    return found
