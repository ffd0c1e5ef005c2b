"""Film: its files arrive while the form is still being filled in."""

from django.db import models

from dbqueue.fields import AsyncFileField, AsyncImageField, FileSystemUploadStorage
from dbqueue.uploads import Variant

EVERYBODY = {"perm_create": None, "perm_update": None, "perm_detail": None}


class Film(models.Model):
    """A film that somebody sent, with a picture of it."""

    title = models.CharField(max_length=100)
    # Small enough to wait in the database.
    poster = AsyncImageField(
        upload_to="posters",
        blank=True,
        variants={"small": Variant(480, 480)},
        help_text="JPEG, PNG, GIF, WebP or AVIF, up to 20 MB.",
        **EVERYBODY,
    )
    # This one waits in the folder where it will be, and can go on after a break.
    film = AsyncFileField(
        upload_to="films",
        storage=FileSystemUploadStorage(),
        file_restrictions="video/*",
        max_size=500,
        help_text="Up to 500 MB. If it breaks off, it can go on.",
        **EVERYBODY,
    )

    def __str__(self):
        return self.title
