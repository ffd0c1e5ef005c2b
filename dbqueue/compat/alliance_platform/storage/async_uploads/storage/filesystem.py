"""FileSystemAsyncUploadStorage, by its name in alliance-platform-storage."""

from dbqueue.compat.alliance_platform.storage.async_uploads.storage.base import (
    AllianceNames,
)
from dbqueue.fields.storages.filesystem import FileSystemUploadStorage

__all__ = ["FileSystemAsyncUploadStorage"]


class FileSystemAsyncUploadStorage(AllianceNames, FileSystemUploadStorage):
    """Django's FileSystemStorage, which also takes files before their form."""
