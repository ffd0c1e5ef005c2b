"""Job, the hot table of unfinished work, and FinishedJob, the history."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.dialects.columns import ORDER
from dbqueue.dialects.moves import WAITING
from dbqueue.ids import uuid7
from dbqueue.models.fields import Json, Key, Moment
from dbqueue.models.worker import Worker


class JobState(models.TextChoices):
    SCHEDULED = "SCHEDULED", _("Scheduled")  # not due yet
    BLOCKED = "BLOCKED", _("Blocked")  # due, and its lane is full
    PAUSED = "PAUSED", _("Paused")  # due, and its task is paused
    READY = "READY", _("Ready")
    RUNNING = "RUNNING", _("Running")
    SUCCESSFUL = "SUCCESSFUL", _("Successful")
    FAILED = "FAILED", _("Failed")
    CANCELLED = "CANCELLED", _("Cancelled")


class UniqueUntil(models.TextChoices):
    FINISHED = "F", _("Finished")
    STARTED = "S", _("Started")


class JobRecord(models.Model):
    """The columns of both tables; a finish moves them from one to the other."""

    id = Key(primary_key=True, default=uuid7, editable=False)
    task = models.CharField(_("task"), max_length=255)
    queue_name = models.CharField(_("queue"), max_length=100)
    priority = models.SmallIntegerField(_("priority"), default=0)
    backend = models.CharField(_("backend"), max_length=100)
    state = models.CharField(_("state"), max_length=10, choices=JobState)
    # How often the row was claimed; with worker_id it is the fence.
    attempt = models.IntegerField(_("attempt"), default=0)
    failures = models.IntegerField(_("failures"), default=0)
    max_attempts = models.SmallIntegerField(_("max attempts"))
    worker_id = Key(_("worker"), null=True)
    args = Json(_("arguments"), default=list)
    kwargs = Json(_("keyword arguments"), default=dict)
    context = Json(_("context"), default=dict)
    progress = Json(_("progress"), null=True)
    # One object for each ended attempt that did not succeed: attempt, worker,
    # started_at, ended_at, reason, and exception, message, traceback where it raised.
    attempt_log = Json(_("attempts"), default=list)
    enqueued_at = Moment(_("enqueued at"))
    run_after = Moment(_("run after"), null=True)
    started_at = Moment(_("first started at"), null=True)
    last_attempted_at = Moment(_("last started at"), null=True)
    # The key of the limit under which it runs, and the group that shares fairly.
    lane = models.CharField(_("lane"), max_length=200, null=True)
    fair_group = models.CharField(_("fair group"), max_length=200, null=True)
    # The job of which this one is a repetition with other arguments.
    retry_of = Key(_("retry of"), null=True)
    # No two unfinished jobs have the key: until the end, or until the first start.
    unique_key = models.CharField(_("unique key"), max_length=200, null=True)
    unique_until = models.CharField(
        _("unique until"), max_length=1, choices=UniqueUntil, null=True
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.task} {self.id}"

    @property
    def worker_ids(self) -> list[str]:
        """The workers of all attempts on record, oldest first."""
        ended = workers(entries(self.attempt_log))
        if self.state in (JobState.RUNNING, JobState.SUCCESSFUL):
            ended.append(str(self.worker_id))
        return ended


def entries(log: Any) -> list[dict[str, Any]]:
    """Return the entries of an attempt log, which may have been damaged by hand."""
    return [e for e in log if isinstance(e, dict)] if isinstance(log, list) else []


def workers(log: list[dict[str, Any]]) -> list[str]:
    """Return the worker of each attempt in the log; other entries are of none."""
    return [str(entry["worker"]) for entry in log if "worker" in entry]


class JobQuerySet(models.QuerySet["Job"]):
    def ready(self) -> "JobQuerySet":
        return self.filter(state=JobState.READY)

    def scheduled(self) -> "JobQuerySet":
        return self.filter(state=JobState.SCHEDULED)

    def blocked(self) -> "JobQuerySet":
        return self.filter(state=JobState.BLOCKED)

    def paused(self) -> "JobQuerySet":
        return self.filter(state=JobState.PAUSED)

    def running(self) -> "JobQuerySet":
        return self.filter(state=JobState.RUNNING)

    def expired(self) -> "JobQuerySet":
        """Return those that wait and may not be started any more, in order."""
        late = self.filter(expires_at__lte=dialects.of(self.db).clock())
        return late.filter(state__in=WAITING).order_by("expires_at")

    def held_by(self, worker_id: UUID) -> "JobQuerySet":
        """Return those that the worker has claimed and not given back."""
        return self.running().filter(worker_id=worker_id)

    def orphaned(self) -> "JobQuerySet":
        """Return running jobs whose worker has no row any more."""
        alive = Worker.objects.using(self.db).filter(pk=models.OuterRef("worker_id"))
        return self.running().filter(~models.Exists(alive))


def _index(name: str, state: str, *fields: str) -> models.Index:
    """Return an index of the jobs in one state."""
    condition = models.Q(state=JobState(state))
    return models.Index(fields=fields, condition=condition, name=name)


def _filled(name: str, *fields: str) -> models.Index:
    """Return an index of the rows whose first field is not null."""
    condition = models.Q((f"{fields[0]}__isnull", False))
    return models.Index(fields=fields, condition=condition, name=name)


# Those that have their key: until the end, or until the first start.
HAS_KEY = models.Q(unique_key__isnull=False) & (
    models.Q(unique_until=UniqueUntil.FINISHED) | ~models.Q(state=JobState.RUNNING)
)


class Job(JobRecord):
    """Unfinished work. A finish deletes the row here and writes a FinishedJob."""

    # True under an id that the caller chose: its claim asks the history. Else null,
    # which takes no room on the page.
    once = models.BooleanField(_("once"), null=True)
    # Past it, it is not started any more.
    expires_at = Moment(_("expires at"), null=True)
    # True if somebody waits for its end, and wants to be told of it.
    is_awaited = models.BooleanField(_("awaited"), null=True)
    # When it was asked to stop while it ran.
    cancelled_at = Moment(_("asked to stop at"), null=True)
    # Who asked for that, and why, for others to read.
    cancelled_by = models.CharField(_("cancelled by"), max_length=255, null=True)
    cancel_reason = models.TextField(_("reason of the cancel"), null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        verbose_name = _("job")
        verbose_name_plural = _("jobs")
        permissions = [
            ("view_job_payload", _("Can view arguments, results and tracebacks")),
            ("retry_job", _("Can retry jobs")),
            ("run_job", _("Can run scheduled jobs now")),
            ("cancel_job", _("Can cancel jobs")),
            ("requeue_job", _("Can move jobs to other queues")),
            ("prioritise_job", _("Can change the priority of jobs")),
            ("discard_job", _("Can discard finished jobs")),
            ("enqueue_job", _("Can enqueue jobs")),
            ("pause_queue", _("Can pause and resume queues")),
        ]
        indexes = [
            _index("dbqueue_job_order", "READY", "queue_name", *ORDER),
            _index("dbqueue_job_scheduled", "SCHEDULED", "run_after"),
            _index("dbqueue_job_running", "RUNNING", "worker_id"),
            _index("dbqueue_job_blocked", "BLOCKED", "fair_group", "lane", *ORDER),
            _index("dbqueue_job_paused", "PAUSED", "task"),
            _filled("dbqueue_job_expires", "expires_at"),
        ]
        constraints = [
            # A start takes it out by itself: no claim, and no other move of a job that
            # has begun, ever meets it.
            models.UniqueConstraint(
                fields=["unique_key"],
                condition=HAS_KEY,
                name="dbqueue_job_unique",
            ),
        ]


class FinishedJobQuerySet(models.QuerySet["FinishedJob"]):
    def expired(self, state: str, older_than: float) -> "FinishedJobQuerySet":
        """Return those of a state that are `older_than` seconds old, oldest first.

        Those that are kept until a moment of their own are not among them.
        """
        limit = dialects.of(self.db).clock() - timedelta(seconds=older_than)
        old = self.filter(state=state, finished_at__lt=limit, keep_until=None)
        return old.order_by("finished_at")

    def outlived(self) -> "FinishedJobQuerySet":
        """Return those whose own moment has come, oldest first."""
        now = dialects.of(self.db).clock()
        return self.filter(keep_until__lt=now).order_by("keep_until")


class FinishedJob(JobRecord):
    """The record of a finished job; append-only, pruned by age."""

    result = Json(_("result"), null=True)
    finished_at = Moment(_("finished at"))
    # Seconds the last attempt ran, by the worker's monotonic clock.
    duration = models.FloatField(_("duration"), null=True)
    # The dotted path of the class that the last failed attempt raised.
    exception = models.CharField(_("exception"), max_length=255, null=True)
    # When the record may go, if its task or queue says so.
    keep_until = Moment(_("keep until"), null=True)

    objects = FinishedJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("finished job")
        verbose_name_plural = _("finished jobs")
        indexes = [
            models.Index(
                fields=["state", "finished_at"], name="dbqueue_finishedjob_state"
            ),
            # In the order in which many are moved; what succeeds takes no part in it.
            models.Index(
                fields=["exception", "id"],
                condition=models.Q(exception__isnull=False),
                name="dbqueue_finishedjob_exception",
            ),
            _filled("dbqueue_finishedjob_unique", "unique_key", "finished_at"),
            _filled("dbqueue_finishedjob_keep", "keep_until"),
        ]
