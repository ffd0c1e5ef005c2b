"""Albums, whose files go up while their forms are filled in."""

import json
import os

from django.db import models
from django.utils.module_loading import import_string

from dbqueue.fields import AsyncFileField, AsyncImageField
from dbqueue.fields.storages.filesystem import FileSystemUploadStorage

EVERYBODY = {"perm_create": None, "perm_update": None, "perm_detail": None}


def films():
    """Return a folder, or the storage that a test names, with its options."""
    if "SITE_FILMS" not in os.environ:
        return FileSystemUploadStorage()
    storage, options = json.loads(os.environ["SITE_FILMS"])
    return import_string(storage)(**options)


class Album(models.Model):
    title = models.CharField(max_length=50)
    cover = AsyncImageField(upload_to="covers", blank=True, **EVERYBODY)
    film = AsyncFileField(
        upload_to="films",
        blank=True,
        storage=films,
        max_size=500,
        **EVERYBODY,
    )

    def __str__(self):
        return self.title


class Photo(models.Model):
    album = models.ForeignKey(Album, models.CASCADE)
    picture = AsyncImageField(upload_to="photos", blank=True, **EVERYBODY)
    caption = models.CharField(max_length=50, blank=True)

    def __str__(self):
        return self.caption
