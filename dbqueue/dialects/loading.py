"""Jobs with large columns: a claim leaves these out, and loads what fits afterwards.

A claim is for so many jobs, whatever they weigh. All at once, the arguments of a
thousand may be more than the process, or one answer of the database, can hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from dbqueue.dialects.columns import LARGE, ClaimedJob
from dbqueue.dialects.rows import Outcome

if TYPE_CHECKING:
    from dbqueue.dialects.base import Dialect

BYTES = 8 * 1024 * 1024  # of large columns that one claim may bring, if not of one job
PORTION = BYTES // 4  # of them that one answer brings, likewise


def loaded(
    dialect: "Dialect", worker_id: UUID, jobs: list[ClaimedJob]
) -> list[ClaimedJob]:
    """Return the claimed jobs with all their columns; those beyond BYTES go back."""
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
    weights = dialect.weights(worker_id, [job.id for job in partial])
    kept = _within_bytes(jobs, weights)
    for portion in _portions([job for job in kept if job.id in weights], weights):
        texts = dialect.load(worker_id, [job.id for job in portion])
        for job in portion:
            job.weight = weights[job.id]
            for name, text in zip(LARGE, texts.get(job.id, ()), strict=False):
                setattr(job, name, text)
    back = [
        Outcome(id=job.id, attempt=job.attempt, state="READY")
        for job in jobs[len(kept) :]
    ]
    if back:
        dialect.release(worker_id, back)
    # One that could not be loaded was taken away from us meanwhile.
    return [job for job in kept if job.args is not None]


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
