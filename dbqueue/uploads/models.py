"""Uploads on their way to a model's field, their bytes, and what they stored."""

from datetime import timedelta
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.ids import uuid7

__all__ = ["ArtifactState", "Upload", "UploadArtifact", "UploadChunk", "UploadState"]

# Until an object is deleted that nothing refers to: pages that show it are still open.
PURGE_DELAY = timedelta(hours=1)


class UploadState(models.TextChoices):
    RECEIVING = "RECEIVING", _("Receiving")  # bytes arrive; nothing is attached yet
    STORED = "STORED", _("Waiting")  # all bytes are there; a job works on it
    DONE = "DONE", _("Done")
    REJECTED = "REJECTED", _("Rejected")  # for its content, for good
    SUPERSEDED = "SUPERSEDED", _("Superseded")  # by a newer upload or another change
    FAILED = "FAILED", _("Failed")  # not for its content; the bytes are kept
    CANCELLED = "CANCELLED", _("Cancelled")


class UploadQuerySet(models.QuerySet["Upload"]):
    def open(self) -> "UploadQuerySet":
        """Return those whose bytes are in the database."""
        return self.filter(state__in=HOLDING_BYTES)


class Upload(models.Model):
    """A file on its way into a field of a model's row; its end is one guarded move."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=UploadState)
    # The row it is for: the model that owns the column, where it lives, and the class
    # it was given as, which a parent's or a proxy's code may need.
    model = models.CharField(_("model"), max_length=200)
    object_pk = models.CharField(_("object"), max_length=255)
    field_name = models.CharField(_("field"), max_length=100)
    database = models.CharField(_("database"), max_length=100)
    given_as = models.CharField(_("given as"), max_length=200)
    # What the field held before the upload; only that is overwritten.
    expected_name = models.TextField(_("replaces"), null=True)  # noqa: DJ001  the field's own
    is_image = models.BooleanField(_("image"))
    filename = models.CharField(_("file name"), max_length=255)
    content_type = models.CharField(_("declared type"), max_length=255)
    size = models.BigIntegerField(_("size"))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    # The object of the field's storage that has the bytes; null = they are in chunks.
    held_as = models.TextField(_("held as"), null=True)  # noqa: DJ001  null in older rows
    chunk_size = models.IntegerField(_("bytes in a chunk"))
    chunk_count = models.IntegerField(_("chunks"))
    policy = models.JSONField(_("policy"), default=dict)
    variants = models.JSONField(_("variants"), default=dict)
    # How it is saved: save_mode, queue_name, priority, and what compat adds.
    options = models.JSONField(_("options"), default=dict)
    owner_id = models.CharField(_("owner"), max_length=255, blank=True)
    job_id = models.UUIDField(_("job"), null=True)
    # What it became: the name in the field, and a picture for each variant.
    final_name = models.TextField(_("stored as"), blank=True)
    pictures = models.JSONField(_("pictures"), default=dict)
    width = models.IntegerField(_("width"), null=True)
    height = models.IntegerField(_("height"), null=True)
    error_code = models.CharField(_("error"), max_length=50, blank=True)
    error_message = models.TextField(_("error message"), blank=True)
    created_at = models.DateTimeField(_("created at"))
    finished_at = models.DateTimeField(_("finished at"), null=True)
    # When the row and its bytes may be deleted; null = not before it has ended.
    expires_at = models.DateTimeField(_("expires at"), null=True)

    objects = UploadQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload")
        verbose_name_plural = _("uploads")
        constraints = [
            # One is pending for a field at a time: this orders two requests.
            models.UniqueConstraint(
                fields=["model", "object_pk", "field_name", "database"],
                condition=models.Q(state="STORED"),
                name="dbqueue_upload_waiting",
            ),
        ]
        indexes = [
            models.Index(
                fields=["model", "object_pk", "field_name", "-id"],
                name="dbqueue_upload_field",
            ),
            models.Index(
                fields=["owner_id"],
                condition=models.Q(state__in=["RECEIVING", "STORED", "FAILED"]),
                name="dbqueue_upload_open",
            ),
            models.Index(fields=["expires_at"], name="dbqueue_upload_expiry"),
            models.Index(fields=["state", "-id"], name="dbqueue_upload_state"),
        ]

    def __str__(self) -> str:
        return f"{self.filename} for {self.model} {self.object_pk}"

    @property
    def held_in(self) -> str:
        """The alias of the queue's database; `database` is the model's."""
        return str(self._state.db)

    def rows(self) -> UploadQuerySet:
        """Return this row as a query, for a guarded move."""
        return Upload.objects.using(self.held_in).filter(pk=self.pk)


# What the columns of a failed upload are when it is tried again.
REOPENED: dict[str, Any] = {
    "state": UploadState.STORED,
    "error_code": "",
    "error_message": "",
    "finished_at": None,
    "expires_at": None,
}
HOLDING_BYTES = (UploadState.RECEIVING, UploadState.STORED, UploadState.FAILED)
_PENDING = (UploadState.RECEIVING, UploadState.STORED)
ENDED = tuple(state for state in UploadState if state not in _PENDING)


class UploadChunk(models.Model):
    """A piece of an upload; in a table of its own, as nothing else reads the bytes."""

    upload = models.ForeignKey(
        Upload, models.CASCADE, related_name="chunks", db_index=False
    )
    position = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        verbose_name = _("upload chunk")
        verbose_name_plural = _("upload chunks")
        constraints = [
            models.UniqueConstraint(
                fields=["upload", "position"], name="dbqueue_uploadchunk_position"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.upload_id} {self.position}"


class ArtifactState(models.TextChoices):
    PLANNED = "PLANNED", _("Planned")  # may exist: on record before it is created
    LIVE = "LIVE", _("Live")
    PURGE = "PURGE", _("To be deleted")
    HELD = "HELD", _("Holds the bytes")  # of an upload that has not ended


class ArtifactQuerySet(models.QuerySet["UploadArtifact"]):
    def of(self, upload: Upload) -> "ArtifactQuerySet":
        """Return those of an upload, in the database that holds it."""
        return self.using(upload.held_in).filter(upload=upload.pk)

    def planned(self) -> "ArtifactQuerySet":
        return self.filter(state=ArtifactState.PLANNED)

    def held(self) -> "ArtifactQuerySet":
        return self.filter(state=ArtifactState.HELD)

    def condemn(self, after: Any = None) -> int:
        """Have the objects deleted from the storage after a moment, or PURGE_DELAY."""
        later = after or dialects.of(self.db).clock() + PURGE_DELAY
        return self.update(state=ArtifactState.PURGE, purge_after=later)


class UploadArtifact(models.Model):
    """An object in a storage that an upload created or replaced."""

    upload = models.ForeignKey(Upload, models.CASCADE, related_name="artifacts")
    name = models.TextField(_("name"))
    variant = models.CharField(_("variant"), max_length=100, blank=True)
    # The job and the attempt that made it, as they are in the name; "" for what the
    # upload replaces.
    run = models.CharField(_("run"), max_length=30, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=ArtifactState)
    purge_after = models.DateTimeField(_("delete after"), null=True)

    objects = ArtifactQuerySet.as_manager()

    class Meta:
        verbose_name = _("upload artifact")
        verbose_name_plural = _("upload artifacts")
        indexes = [
            models.Index(
                fields=["purge_after"],
                condition=models.Q(state="PURGE"),
                name="dbqueue_uploadartifact_purge",
            ),
            models.Index(
                fields=["upload"],
                condition=models.Q(state="PLANNED"),
                name="dbqueue_uploadartifact_plan",
            ),
        ]

    def __str__(self) -> str:
        return self.name
