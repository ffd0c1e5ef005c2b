"""Models of a project that was written for alliance-platform-storage.

Of its modules only the imports have changed: `dbqueue.compat.` stands before them.
"""

from django.db import models

from dbqueue.compat.alliance_platform.storage.async_uploads.models import (
    AsyncFileField,
    AsyncImageField,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.registry import (
    AsyncFieldRegistry,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.storage.filesystem import (
    FileSystemAsyncUploadStorage,
)

storage = FileSystemAsyncUploadStorage()
archive = AsyncFieldRegistry("archive")


class Practice(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self):
        return self.name


class Report(models.Model):
    practice = models.ForeignKey(
        Practice, models.CASCADE, null=True, related_name="reports"
    )
    document = AsyncFileField(storage=storage, upload_to="reports", blank=True)
    scan = AsyncImageField(
        storage=storage,
        null=True,
        blank=True,
        width_field="scan_width",
        height_field="scan_height",
        suppress_pillow_check=True,
    )
    scan_width = models.IntegerField(null=True, blank=True)
    scan_height = models.IntegerField(null=True, blank=True)
    stamp = AsyncImageField(
        storage=storage, null=True, blank=True, file_restrictions="image/png"
    )

    def __str__(self):
        return self.document.name


class UrgentReport(Report):
    """A child, with the fields of its parent."""


class Letter(models.Model):
    open = AsyncFileField(
        storage=storage,
        blank=True,
        perm_create=None,
        perm_update=None,
        perm_detail=None,
    )
    usual = AsyncFileField(storage=storage, blank=True)
    own = AsyncFileField(
        storage=storage,
        blank=True,
        perm_create="custom_create",
        perm_update="custom_update",
        perm_detail="custom_detail",
        max_size=1,
        file_restrictions=["application/pdf", ".csv"],
    )

    def __str__(self):
        return f"letter {self.pk}"


class Binder(models.Model):
    first = AsyncFileField(storage=storage, blank=True)
    second = AsyncFileField(
        storage=storage, blank=True, async_field_registry=archive, perm_create=None
    )

    def __str__(self):
        return f"binder {self.pk}"
