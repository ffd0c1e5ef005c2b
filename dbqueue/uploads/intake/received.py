"""A file of a request whose bytes are in the database already."""

import io
from typing import Any

from django.core.files.uploadedfile import UploadedFile

from dbqueue.uploads.chunks import ChunkReader
from dbqueue.uploads.models import Upload


class ReceivedFile(UploadedFile):  # type: ignore[type-arg]  # generic in the stubs
    """What BlobUploadHandler gives to forms and views; reads like any uploaded file."""

    def __init__(self, upload: Upload, field_name: str, charset: Any = None) -> None:
        content = io.BufferedReader(ChunkReader(upload))
        name, content_type, size = upload.filename, upload.content_type, upload.size
        super().__init__(content, name, content_type, size, charset)
        self.upload = upload
        self.field_name = field_name
