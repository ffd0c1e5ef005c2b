"""A file of a request whose bytes are in the database already."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile

from dbqueue.uploads.chunks import opened
from dbqueue.uploads.models import Upload


class ReceivedFile(UploadedFile):  # type: ignore[type-arg]  # generic in the stubs
    """A file of BlobUploadHandler or of an upload field; reads as any uploaded file."""

    # Whether it can be saved no more than once; else its bytes are copied for a second.
    once = False

    def __init__(self, upload: Upload, field_name: str, charset: Any = None) -> None:
        content = opened(upload)
        name, content_type, size = upload.filename, upload.content_type, upload.size
        super().__init__(content, name, content_type, size, charset)
        self.upload = upload
        self.field_name = field_name
