"""Models whose files arrive before their form."""

from django.core.files.storage import FileSystemStorage
from django.db import models

from dbqueue.fields import AsyncFileField, AsyncImageField, FileSystemUploadStorage
from dbqueue.imaging.policy import Variant


def may_look(request, instance):
    """Tell whether somebody is called Ada, of objects that are hers."""
    return request.user.get_username() == "ada"


class Album(models.Model):
    title = models.CharField(max_length=100)
    # Through the database.
    cover = AsyncImageField(
        upload_to="covers",
        blank=True,
        width_field="cover_width",
        height_field="cover_height",
        variants={"thumb": Variant(8, 8, fit="cover")},
        max_size=1,
    )
    cover_width = models.IntegerField(null=True, editable=False)
    cover_height = models.IntegerField(null=True, editable=False)
    # To the folder where they will be.
    booklet = AsyncFileField(
        upload_to="booklets",
        blank=True,
        null=True,
        storage=FileSystemUploadStorage(),
        file_restrictions=["application/pdf", ".txt"],
        max_size=1,
    )

    def __str__(self):
        return self.title


class Song(models.Model):
    """Everybody may do anything with it."""

    album = models.ForeignKey(Album, models.CASCADE, null=True, related_name="songs")
    sheet = AsyncFileField(
        perm_create=None,
        perm_update=None,
        perm_detail=None,
        storage=FileSystemStorage(),
        max_length=100,
    )
    take = AsyncFileField(
        blank=True,
        perm_create=may_look,
        perm_update=may_look,
        perm_detail=may_look,
        file_restrictions="audio/*",
        move="inline",
        replaced="delete",
    )
    film = AsyncFileField(
        blank=True,
        storage=FileSystemUploadStorage(),
        max_size=500,
        perm_create=None,
        perm_update=None,
        perm_detail=None,
    )

    def __str__(self):
        return self.sheet.name
