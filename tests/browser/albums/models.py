"""Albums, whose files go up while their forms are filled in."""

from django.db import models

from dbqueue.fields import AsyncFileField, AsyncImageField
from dbqueue.fields.storages.filesystem import FileSystemUploadStorage

EVERYBODY = {"perm_create": None, "perm_update": None, "perm_detail": None}


class Album(models.Model):
    title = models.CharField(max_length=50)
    cover = AsyncImageField(upload_to="covers", blank=True, **EVERYBODY)
    film = AsyncFileField(
        upload_to="films",
        blank=True,
        storage=FileSystemUploadStorage,
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
