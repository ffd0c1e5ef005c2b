"""What follows a claim: known jobs are removed, and large columns loaded, what fits.

A claim is for so many jobs, whatever they weigh. All at once, the arguments of a
thousand may be more than the process, or one answer of the database, can hold.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from dbqueue.dialects.columns import LARGE, ClaimedJob
from dbqueue.dialects.rows import Outcome, tell_of_known

BYTES = 8 * 1024 * 1024  # of large columns that one claim may bring, if not of one job
PORTION = BYTES // 4  # of them that one answer brings, likewise


class Loader(Protocol):
    """What is needed of a Dialect; the columns are LARGE."""

    def weights(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, int]: ...

    def load(self, worker_id: UUID, ids: Sequence[UUID]) -> dict[UUID, list[str]]: ...

    def release(self, worker_id: UUID, outcomes: Sequence[Outcome]) -> set[UUID]: ...

    def forget_known(self, worker_id: UUID) -> None: ...

    def park(self, worker_id: UUID, ids: Sequence[UUID]) -> None: ...

    def owe(self, keys: Iterable[str]) -> None: ...


def loaded(
    dialect: Loader, worker_id: UUID, claimed: list[ClaimedJob]
) -> list[ClaimedJob]:
    """Return the claimed jobs with all their columns; those beyond BYTES go back.

    Those whose chosen id the history has are removed: they must not run again. Those
    of paused tasks are not held any more.
    """
    jobs = _allowed(dialect, worker_id, claimed)
    partial = [
        job
        for job in jobs
        if job.args is None
        or job.kwargs is None
        or job.context is None
        or job.attempt_log is None
    ]
    if not partial:
        return jobs
    missing = {job.id for job in partial}
    weights = dialect.weights(worker_id, [job.id for job in partial])
    kept = _within_bytes(jobs, weights)
    for portion in _portions([job for job in kept if job.id in weights], weights):
        texts = dialect.load(worker_id, [job.id for job in portion])
        missing -= texts.keys()
        for job in portion:
            job.weight = weights[job.id]
            for name, text in zip(LARGE, texts.get(job.id, ()), strict=False):
                setattr(job, name, text)
    back = [
        Outcome(id=job.id, attempt=job.attempt, state="READY", gate=job.gate)
        for job in jobs[len(kept) :]
    ]
    if back:
        dialect.release(worker_id, back)
        dialect.owe(outcome.gate for outcome in back if outcome.gate is not None)
    # One that could not be loaded was taken away from us meanwhile.
    return [job for job in kept if job.id not in missing]


def _allowed(
    dialect: Loader, worker_id: UUID, jobs: list[ClaimedJob]
) -> list[ClaimedJob]:
    barred = [job for job in jobs if job.fate in ("known", "paused")]
    if not barred:
        return jobs
    parked = [job.id for job in barred if job.fate == "paused"]
    if parked:
        dialect.park(worker_id, parked)
    known = [job.id for job in barred if job.fate == "known"]
    if known:
        dialect.forget_known(worker_id)
    for id in known:
        tell_of_known(id)
    return [job for job in jobs if job.fate not in ("known", "paused")]


def _within_bytes(
    jobs: list[ClaimedJob], weights: Mapping[UUID, int]
) -> list[ClaimedJob]:
    """Return the first jobs, as many as weigh no more than BYTES together."""
    total = 0
    for place, job in enumerate(jobs):
        total += weights.get(job.id, 0)
        if total > BYTES and place:
            return jobs[:place]
    return jobs


def _portions(
    jobs: Sequence[ClaimedJob], weights: Mapping[UUID, int]
) -> Iterator[list[ClaimedJob]]:
    portion: list[ClaimedJob] = []
    total = 0
    for job in jobs:
        total += weights[job.id]
        if portion and total > PORTION:
            yield portion
            portion, total = [], weights[job.id]
        portion.append(job)
    if portion:
        yield portion
