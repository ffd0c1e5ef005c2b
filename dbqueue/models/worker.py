"""Worker: one process incarnation that holds jobs, alive as long as it heartbeats."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.ids import uuid7
from dbqueue.models.fields import Json, Key, Moment

# What the facts of a process say that another system starts and stops, as Celery.
ENGINE = "engine"


class WorkerOrder(models.TextChoices):
    QUIET = "quiet", _("Quiet")  # takes no more jobs, and waits for what may come
    RESUME = "resume", _("Resume")
    STOP = "stop", _("Stop")


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> "WorkerQuerySet":
        return self.filter(expires_at__gt=dialects.of(self.db).clock())

    def expired(self) -> "WorkerQuerySet":
        """Return those whose lease is over."""
        return self.filter(expires_at__lt=dialects.of(self.db).clock())

    def of_engine(self, queue: str) -> "WorkerQuerySet":
        """Return the processes of the engine of this queue."""
        return self.filter(facts__kind=ENGINE, queues=queue)


class LiveManager(models.Manager.from_queryset(WorkerQuerySet)):  # type: ignore[misc]  # it is dynamic
    """Those that have not ended: all but a page for people asks for these."""

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(ended_at__isnull=True)


class Worker(models.Model):
    """A worker: live until it stops, dies or misses its lease, and then on record.

    `objects` has the live ones, `everyone` those too that ended within a day.
    """

    id = Key(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=255)
    host = models.CharField(_("host"), max_length=255)
    pid = models.IntegerField(_("process id"))
    queues = models.CharField(_("queues"), max_length=1000)
    started_at = Moment(_("started at"))
    last_seen = Moment(_("last heartbeat"))
    # By the database's clock; past it, other workers may rescue what this one holds.
    expires_at = Moment(_("lease ends"))
    # Paths of tasks that it could not import, and whose jobs it leaves to others.
    unknown_tasks = Json(_("unknown tasks"), null=True)

    # What it is: versions, settings module, slots for jobs. For people.
    facts = Json(_("facts"), null=True)
    memory = models.BigIntegerField(_("resident memory"), null=True)  # bytes
    # What an operator asks of its command; the keeper obeys with its next heartbeat.
    asked = models.CharField(_("asked"), max_length=10, choices=WorkerOrder, null=True)
    is_quiet = models.BooleanField(_("quiet"), null=True)
    # Whether news of jobs reaches it; null where none is sent.
    is_listening = models.BooleanField(_("listening"), null=True)
    ended_at = Moment(_("ended at"), null=True)
    was_lost = models.BooleanField(_("lost"), null=True)

    objects = LiveManager()
    everyone = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        permissions = [("stop_worker", _("Can stop workers"))]

    def __str__(self) -> str:
        return self.name

    @property
    def takes_orders(self) -> bool:
        """Whether what is asked of it is obeyed."""
        return not (isinstance(self.facts, dict) and self.facts.get("kind") == ENGINE)
