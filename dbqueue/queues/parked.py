"""Jobs of paused tasks. A claim parks those that it meets; here they come back."""

from django.db.models import Case, Value, When

from dbqueue import dialects
from dbqueue.models import Job, JobState, Pause
from dbqueue.models.job import JobQuerySet

BATCH = 1000
# In a lane, only its gate makes a job ready.
_DUE_STATE = Case(
    When(lane=None, then=Value(JobState.READY.value)),
    default=Value(JobState.BLOCKED.value),
)


def unpark(alias: str, task: str) -> set[str]:
    """Have the parked jobs of a task wait as any others; return their queues."""
    queues: set[str] = set()
    while True:
        with dialects.of(alias).one_commit():
            parked = Job.objects.using(alias).paused().filter(task=task)
            free = parked.select_for_update(skip_locked=True)
            found = dict(free.values_list("pk", "queue_name")[:BATCH])
            parked.filter(pk__in=found).update(state=_DUE_STATE, worker_id=None)
        queues |= set(found.values())
        if len(found) < BATCH:
            return queues


def sweep(alias: str) -> set[str]:
    """Unpark what a claim has parked while its task was resumed; return the queues."""
    queues: set[str] = set()
    parked, task = Job.objects.using(alias).paused().order_by("task"), ""
    # One probe for each task: there may be a million jobs of one.
    while task := _first(parked.filter(task__gt=task)):
        if not Pause.objects.using(alias).filter(pk=f"task:{task}").exists():
            queues |= unpark(alias, task)
    return queues


def _first(jobs: JobQuerySet) -> str:
    return jobs.values_list("task", flat=True).first() or ""
