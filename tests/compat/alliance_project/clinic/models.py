"""A visit has a letter and a photo."""

from alliance_platform.storage.async_uploads.models import (
    AsyncFileField,
    AsyncImageField,
)
from django.db import models


class Visit(models.Model):
    title = models.CharField(max_length=50)
    letter = AsyncFileField(
        upload_to="letters", blank=True, max_size=5, file_restrictions=[".pdf"]
    )
    photo = AsyncImageField(
        upload_to="photos",
        blank=True,
        width_field="width",
        height_field="height",
        download_params={"expire": 60},
    )
    width = models.IntegerField(null=True, editable=False)
    height = models.IntegerField(null=True, editable=False)

    def __str__(self):
        return self.title
