"""Jobs taken from workers that cannot end them."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast

from dbqueue import dialects
from dbqueue.dialects import hooks
from dbqueue.dialects.columns import HeldJob
from dbqueue.dialects.rare import Losses
from dbqueue.dialects.rows import Outcome, tell_of_known
from dbqueue.jobs import events, losses, outcomes, statistics
from dbqueue.jobs.refusals import set_aside
from dbqueue.jobs.results import finished_result
from dbqueue.jobs.retention import keep_of
from dbqueue.maintenance import leases
from dbqueue.maintenance.halves import NOBODY, of_halves
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.models.job import JobQuerySet

logger = logging.getLogger(__name__)

BATCH = 500


def held_by(alias: str, worker_id: UUID) -> list[HeldJob]:
    """Return up to BATCH jobs that the worker has claimed and not given back."""
    return _first(Job.objects.using(alias).held_by(worker_id))


def hidden_from(
    alias: str, worker_id: UUID, known: Mapping[UUID, int]
) -> list[HeldJob]:
    """Return up to BATCH jobs that the worker has claimed, and does not know of.

    `known` are the attempts that it knows of, by their jobs.
    """
    held = Job.objects.using(alias).held_by(worker_id)
    claims = held.values_list("pk", "attempt")
    hidden = [id for id, attempt in claims if known.get(id) != attempt]
    return _first(held.filter(pk__in=hidden[:BATCH])) if hidden else []


def finished_by(alias: str, worker_id: UUID, ids: Collection[UUID]) -> set[UUID]:
    """Return which of the jobs this worker did bring to their end."""
    history = FinishedJob.objects.using(alias).filter(pk__in=ids, worker_id=worker_id)
    return set(history.values_list("pk", flat=True))


def orphans(alias: str) -> list[HeldJob]:
    """Return up to BATCH running jobs whose worker has no row any more."""
    return _first(Job.objects.using(alias).orphaned())


def rescue_orphans(alias: str, *, condemning: bool = False) -> int:
    """Rescue running jobs whose worker has no row any more; return how many.

    With `condemning`, the rows of workers whose lease is over end first.
    """
    lost = _heal(alias)
    condemned = condemning and lost.leases and leases.condemn(alias)
    if not (condemned or lost.jobs):
        return 0
    jobs = orphans(alias)
    crews = Counter(job.worker_id for job in jobs)
    return rescue(
        alias, jobs, beside={job.id: crews[job.worker_id] - 1 for job in jobs}
    )


def _heal(alias: str) -> Losses:
    dialect = dialects.of(alias)
    try:
        return dialect.heal()
    except Exception as error:
        if not dialect.refuses(error):
            raise
        logger.error("Damaged jobs cannot be set aside: %s", error)
    return Losses()


def rescue(
    alias: str,
    jobs: Collection[HeldJob],
    *,
    reason: str = "lost",
    beside: Mapping[UUID, int] = MappingProxyType({}),
) -> int:
    """Take jobs from workers that cannot finish them; return how many were taken.

    `reason` and `beside`, the latter for each job, are those of outcomes.rescued(). The
    fence decides if the worker was faster. One whose row is locked is left for the next
    time: its worker may be stalled in the middle of its commit, and waiting for it
    would stall us too.
    """
    if not jobs:
        return 0
    dialect = dialects.of(alias)

    def some(jobs: Sequence[HeldJob]) -> int:
        return _rescue(alias, jobs, reason, beside)

    def end(job: HeldJob, error: Exception) -> int:
        return int(set_aside(dialect, job.id, job.worker_id, error))

    return sum(of_halves(dialect, list(jobs), some, end))


def _rescue(
    alias: str, jobs: Sequence[HeldJob], reason: str, beside: Mapping[UUID, int]
) -> int:
    dialect, taken = dialects.of(alias), set[UUID]()
    with dialect.one_commit():
        free = _unlocked(alias, jobs)
        known = _forget_known(alias, [id for id, once in free.items() if once])
        running = [job for job in jobs if job.id in free.keys() - known]
        ended = {
            job: outcomes.rescued(job, reason, beside=beside.get(job.id, 0))
            for job in running
        }
        by_worker: dict[UUID, list[Outcome]] = {}
        for job, outcome in ended.items():
            if outcome.state == JobState.FAILED:
                outcome.keep = keep_of(job.task, job.queue_name)
            by_worker.setdefault(job.worker_id, []).append(outcome)
        for worker_id, batch in by_worker.items():
            taken |= dialect.record(worker_id, batch)
        over = [
            job
            for job, outcome in ended.items()
            if job.id in taken and outcome.state != JobState.READY
        ]
        for hook in hooks.after_end if over else ():
            hook(alias, over)
    counted = [(job, o) for job, o in ended.items() if job.id in taken]
    statistics.write_rescued(alias, counted)
    # After the commit: a receiver whose query fails would break the transaction.
    for job, outcome in ended.items():
        if job.id in taken:
            result = partial(finished_result, alias, job.id)
            error = losses.cause(job, reason) if outcome.failed else None
            events.rescued(job, outcome, error, result)
    return len(taken) + len(known)


def _unlocked(alias: str, jobs: Collection[HeldJob]) -> dict[UUID, bool | None]:
    """Return the ids of those nobody else has locked, and which were chosen."""
    running = Job.objects.using(alias).running()
    those = running.filter(pk__in=[job.id for job in jobs])
    locked = those.select_for_update(skip_locked=True)
    return dict(locked.values_list("pk", "once"))


def _forget_known(alias: str, ids: Collection[UUID]) -> set[UUID]:
    """Remove the jobs that have ended before; a claim that was cut short left them."""
    if not ids:
        return set()
    history = FinishedJob.objects.using(alias).filter(pk__in=ids)
    known = set(history.values_list("pk", flat=True))
    Job.objects.using(alias).filter(pk__in=known)._raw_delete(alias)
    for id in known:
        tell_of_known(id)
    return known


def _first(running: JobQuerySet) -> list[HeldJob]:
    dialect = dialects.of(running.db)
    try:
        return _read(running)
    except Exception as error:
        if not dialect.refuses(error):
            raise
    jobs = []
    for id, worker_id in list(running.values_list("pk", "worker_id")[:BATCH]):
        try:
            jobs += _read(running.filter(pk=id))
        except Exception as error:
            if not dialect.refuses(error):
                raise
            set_aside(dialect, id, worker_id or NOBODY, error)
    return jobs


def _read(running: JobQuerySet) -> list[HeldJob]:
    *names, context, log = HeldJob._fields
    # As text: what was damaged by hand cannot be read as JSON.
    texts = (Cast(name, TextField()) for name in (context, log))
    rows = running.values_list(*names, *texts)
    return [HeldJob(*row) for row in rows[:BATCH]]
