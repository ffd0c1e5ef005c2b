"""FileSystemUploadStorage: files arrive in the folder where they will be stored."""

import os
from pathlib import Path

from django.core.files.storage import FileSystemStorage

from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.storages.base import AsyncUploadStorage


class FileSystemUploadStorage(AsyncUploadStorage, FileSystemStorage):
    """Django's FileSystemStorage, which also takes files before their form.

    All web servers and workers must see the same folder.
    """

    provider = "filesystem"
    receives_here = True

    def append(self, key: str, offset: int, data: bytes) -> None:
        place = Path(self.path(key))
        place.parent.mkdir(parents=True, exist_ok=True)
        # Only for this user: no server of files is to show what was not looked at.
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            if file.seek(0, os.SEEK_END) < offset:  # as after a power cut
                raise TokenExpired("What was sent before is gone. Begin it again.")
            file.seek(offset)
            file.write(data)
            file.truncate()
