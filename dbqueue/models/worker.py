"""Worker: one process incarnation that holds jobs, alive as long as it heartbeats."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.ids import uuid7
from dbqueue.models.fields import Json, Key, Moment


class WorkerQuerySet(models.QuerySet["Worker"]):
    def alive(self) -> "WorkerQuerySet":
        return self.filter(expires_at__gt=dialects.of(self.db).clock())

    def expired(self) -> "WorkerQuerySet":
        """Return those whose lease is over."""
        return self.filter(expires_at__lt=dialects.of(self.db).clock())


class Worker(models.Model):
    """A live worker. Its row goes when it stops, dies or misses its lease."""

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

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name
