"""Files that were sent for a field and wait for their form."""

from uuid import NAMESPACE_URL, UUID, uuid5

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue.uploads.models import Upload

__all__ = ["FieldUpload"]


# What a program or another package has put into a storage under a temporary name: who
# knows the name may use it, once.
NAMED = "named"


def id_of_name(name: str) -> UUID:
    """Return the id of the upload that has a name in a storage."""
    return uuid5(NAMESPACE_URL, f"dbqueue:fields:{name}")


class FieldUpload(models.Model):
    """What is known of an upload for a field until its form is submitted.

    Its `upload` is RECEIVING until then, and has the name, the size and the owner.
    """

    upload = models.OneToOneField(
        Upload, models.CASCADE, primary_key=True, related_name="for_field"
    )
    # The field, as a registry calls it, and the row; "" = one that is to be created.
    field_id = models.CharField(_("field"), max_length=200)
    instance_pk = models.CharField(_("object"), max_length=255, blank=True)
    # How it comes: "direct", "tus", "form" or NAMED.
    via = models.CharField(_("sent by"), max_length=10)
    # Bytes that are there; more are taken only from here, and from this request.
    received = models.BigIntegerField(_("received"), default=0)
    writer = models.UUIDField(_("written by"), null=True)
    # Whether the size was told beforehand; else the upload's is the most it may have.
    is_size_known = models.BooleanField(_("size known"), default=False)
    # What a storage keeps of an upload in parts.
    parts = models.JSONField(_("parts"), null=True)
    created_at = models.DateTimeField(_("created at"))
    # When all bytes were there and had been looked at.
    completed_at = models.DateTimeField(_("completed at"), null=True)

    class Meta:
        verbose_name = _("upload for a field")
        verbose_name_plural = _("uploads for fields")
        indexes = [
            models.Index(fields=["created_at"], name="dbqueue_fieldupload_created"),
        ]

    def __str__(self) -> str:
        return f"{self.upload_id} for {self.field_id}"
