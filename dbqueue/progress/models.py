"""JobFile: what a job has made for whoever waits for it."""

from uuid import UUID

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.ids import uuid7

__all__ = ["FileState", "JobFile"]


class FileState(models.TextChoices):
    PLANNED = "PLANNED", _("Planned")  # on record before it is in the storage
    LIVE = "LIVE", _("Live")
    GONE = "GONE", _("Gone")  # deleted from the storage


class JobFileQuerySet(models.QuerySet["JobFile"]):
    def of(self, *jobs: UUID) -> "JobFileQuerySet":
        """Return those of the jobs, by their ids, that may have been seen."""
        seen = self.filter(job_id__in=jobs).exclude(state=FileState.PLANNED)
        return seen.annotate(
            is_over=models.ExpressionWrapper(
                models.Q(expires_at__lte=dialects.of(self.db).clock()),
                output_field=models.BooleanField(),
            )
        )

    def due(self) -> "JobFileQuerySet":
        """Return those of which something is to be deleted, the oldest first."""
        over = self.filter(purge_after__lte=dialects.of(self.db).clock())
        return over.order_by("purge_after")


class JobFile(models.Model):
    """A file that a job has attached; its id is in the order of their making."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job_id = models.UUIDField(_("job"))
    attempt = models.IntegerField(_("attempt"))
    state = models.CharField(_("state"), max_length=10, choices=FileState)
    name = models.CharField(_("name"), max_length=255)
    # The alias in STORAGES, and the name there.
    storage = models.CharField(_("storage"), max_length=100)
    stored_as = models.TextField(_("stored as"))
    content_type = models.CharField(_("content type"), max_length=255)
    size = models.BigIntegerField(_("size"), null=True)
    # Until when it is handed out.
    expires_at = models.DateTimeField(_("expires at"))
    # When it is deleted from the storage; once it is gone, when the row is.
    purge_after = models.DateTimeField(_("delete after"))

    objects = JobFileQuerySet.as_manager()

    class Meta:
        verbose_name = _("file of a job")
        verbose_name_plural = _("files of jobs")
        indexes = [
            models.Index(fields=["job_id"], name="dbqueue_jobfile_job"),
            models.Index(fields=["purge_after"], name="dbqueue_jobfile_purge"),
        ]

    def __str__(self) -> str:
        return self.name
