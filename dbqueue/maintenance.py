"""What keeps the tables true: heartbeats, rescue, promotion and pruning.

Every keeper does all of it, and all of it may be done twice at once: each step is a
guarded statement, so no leader is needed.
"""

import logging
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db import OperationalError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from dbqueue import backoff, dialects
from dbqueue.dialects.rows import HeldJob, Outcome
from dbqueue.models import FinishedJob, Job, JobState, Worker

logger = logging.getLogger(__name__)

PROMOTE_BATCH = 1000
RESCUE_BATCH = 500
PRUNE_BATCH = 1000
VARIABLES = 10_000  # in a statement; SQLite knows no more than 32,766
_HELD = HeldJob._fields


def register(
    alias: str, id: UUID, *, name: str, host: str, pid: int, queues: str, lease: float
) -> None:
    """Write the row of a worker that starts; `lease` in seconds.

    Doing it again, because the answer to the first time was lost, does no harm.
    """
    if id not in heartbeat(alias, [id], lease=lease):
        return
    now = dialects.of(alias).clock()
    Worker.objects.using(alias).create(
        id=id,
        name=name,
        host=host,
        pid=pid,
        queues=queues[:1000],
        started_at=now,
        last_seen=now,
        expires_at=now + timedelta(seconds=lease),
    )


def heartbeat(alias: str, ids: Collection[UUID], *, lease: float) -> set[UUID]:
    """Renew the leases; return the workers that were declared dead meanwhile."""
    rows, now = (
        Worker.objects.using(alias).filter(pk__in=ids),
        dialects.of(alias).clock(),
    )
    renewed = rows.update(last_seen=now, expires_at=now + timedelta(seconds=lease))
    if renewed == len(ids):
        return set()
    return set(ids) - set(rows.values_list("pk", flat=True))


def retire(alias: str, id: UUID) -> None:
    """Remove the row of a worker that is gone; what it still holds is orphaned."""
    Worker.objects.using(alias).filter(pk=id).delete()


def condemn(alias: str) -> int:
    """Remove the workers whose lease is over; return how many there were."""
    now = dialects.of(alias).clock()
    expired = Worker.objects.using(alias).filter(expires_at__lt=now)
    for worker in expired:
        logger.warning(
            "Worker lost name=%s id=%s last_seen=%s",
            worker.name,
            worker.pk,
            worker.last_seen.isoformat(),
        )
    return expired.delete()[0]


def held_by(
    alias: str, worker_id: UUID, *, excluding: Collection[UUID] = ()
) -> list[HeldJob]:
    """Return up to RESCUE_BATCH jobs that the worker has claimed and not given back."""
    held = _running(alias).filter(worker_id=worker_id)
    return _first(held.exclude(pk__in=list(excluding)))


def finished_by(alias: str, worker_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """Return which of the jobs this worker did bring to their end."""
    history = FinishedJob.objects.using(alias).filter(pk__in=ids, worker_id=worker_id)
    return set(history.values_list("pk", flat=True))


def orphans(alias: str) -> list[HeldJob]:
    """Return running jobs whose worker has no row any more."""
    return _first(_orphans(alias))


def rescue_orphans(alias: str) -> int:
    """Rescue running jobs whose worker has no row any more; return how many."""
    return rescue(alias, orphans(alias))


def rescue(alias: str, jobs: Collection[HeldJob], *, reason: str = "lost") -> int:
    """Take jobs from workers that cannot finish them; return how many were taken.

    `reason` "lost" and "timeout" count a failure and end a job that has no attempt
    left; "released" counts none. The fence decides if the worker was faster. One whose
    row is locked is left for the next time: its worker may stand still in the midst of
    its commit, and whoever waited for it would stand still with it.
    """
    if not jobs:
        return 0
    with dialects.of(alias).one_commit():
        by_worker: dict[UUID, list[Outcome]] = {}
        for job in _unlocked(alias, jobs):
            outcome = rescued(job, reason)
            by_worker.setdefault(job.worker_id, []).append(outcome)
            logger.log(
                logging.WARNING if outcome.failed else logging.INFO,
                "Job rescued id=%s task=%s attempt=%s reason=%s state=%s",
                job.id,
                job.task,
                job.attempt,
                reason,
                outcome.state,
            )
        return sum(
            len(dialects.of(alias).settle(worker_id, outcomes))
            for worker_id, outcomes in by_worker.items()
        )


def rescued(job: HeldJob, reason: str) -> Outcome:
    """Return the outcome of an attempt that its worker did not bring to an end."""
    failed = 0 if reason == "released" else 1
    final = failed and job.failures + failed >= job.max_attempts
    record = {
        "attempt": job.attempt,
        "worker": str(job.worker_id),
        "started_at": job.last_attempted_at.isoformat(),
        "ended_at": timezone.now().isoformat(),
        "reason": reason,
    }
    if failed:
        name = {"lost": "WorkerLost", "timeout": "TaskTimeout"}[reason]
        record["exception"] = f"dbqueue.exceptions.{name}"
        record["message"] = _MESSAGES[reason]
        record["traceback"] = ""
    return Outcome(
        id=job.id,
        attempt=job.attempt,
        state=JobState.FAILED if final else JobState.READY,
        record=record,
        failed=failed,
        delay=_pause(reason, job.failures),
    )


def _pause(reason: str, failures: int) -> float:
    if reason == "timeout":  # it would hang again
        return backoff.exponential(failures + 1)
    if reason == "lost" and failures:
        # Once, it ran beside whatever killed its worker. Those that fail again come
        # back apart, so that the one to blame takes fewer others with it.
        return backoff.exponential(failures, base=1.0, cap=30.0)
    return 0.0


def promote(alias: str, *, limit: int = PROMOTE_BATCH) -> set[str]:
    """Make up to `limit` jobs ready that are due; return their queues."""
    dialect = dialects.of(alias)
    while True:
        try:
            return dialect.promote(limit)
        except OperationalError as error:
            if limit == 1 or not dialect.is_cancelled(error):
                raise
            limit //= 2  # the server allows a statement too little time for so many


def prune(
    alias: str,
    *,
    states: Collection[str],
    older_than: float,
    limit: int = PRUNE_BATCH,
) -> int:
    """Delete up to `limit` jobs that finished over `older_than` seconds ago.

    Return how many were deleted.
    """
    deleted, history = 0, FinishedJob.objects.using(alias)
    for state in states:
        if deleted < limit:
            # delete() would begin a transaction, and SQLite knows none within another.
            with dialects.of(alias).one_commit():
                # A list, or PostgreSQL may select again for each row that it deletes,
                # pass over those already deleted, and so exceed the limit.
                batch = _oldest(alias, state, older_than, limit - deleted)
                for first in range(0, len(batch), VARIABLES):
                    part = batch[first : first + VARIABLES]
                    history.filter(pk__in=part)._raw_delete(alias)
                deleted += len(batch)
    return deleted


def expired(alias: str, state: str, older_than: float) -> QuerySet[FinishedJob]:
    """Return the finished jobs of a state that are `older_than` seconds old."""
    limit = dialects.of(alias).clock() - timedelta(seconds=older_than)
    history = FinishedJob.objects.using(alias).filter(state=state)
    return history.filter(finished_at__lt=limit).order_by("finished_at")


def _oldest(alias: str, state: str, older_than: float, limit: int) -> list[UUID]:
    # Each keeper takes other rows: they would wait for each other, or deadlock.
    rows = expired(alias, state, older_than).select_for_update(skip_locked=True)
    return list(rows.values_list("pk", flat=True)[:limit])


def _orphans(alias: str) -> QuerySet[Job]:
    alive = Worker.objects.using(alias).filter(pk=OuterRef("worker_id"))
    return _running(alias).filter(~Exists(alive))


def _running(alias: str) -> QuerySet[Job]:
    return Job.objects.using(alias).filter(state=JobState.RUNNING)


def _unlocked(alias: str, jobs: Collection[HeldJob]) -> list[HeldJob]:
    rows = _running(alias).filter(pk__in=[job.id for job in jobs])
    free = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)
    ids = set(free)
    return [job for job in jobs if job.id in ids]


def _first(running: QuerySet[Job]) -> list[HeldJob]:
    return [HeldJob(*row) for row in running.values_list(*_HELD)[:RESCUE_BATCH]]


_MESSAGES = {
    "lost": "The worker died or was cut off while the job ran.",
    "timeout": "The job ran past its timeout, or the import of its module took too "
    "long, and did not stop.",
}
