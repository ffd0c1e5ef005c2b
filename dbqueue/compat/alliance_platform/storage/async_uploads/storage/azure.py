"""AzureAsyncUploadStorage, by its name in alliance-platform-storage."""

from dbqueue.compat.alliance_platform.storage.async_uploads.storage.base import (
    AllianceNames,
)
from dbqueue.fields.storages.azure import AzureUploadStorage

__all__ = ["AzureAsyncUploadStorage"]


class AzureAsyncUploadStorage(AllianceNames, AzureUploadStorage):
    """AzureStorage of django-storages, to which browsers send files themselves.

    Raises MissingExtra, on import, without azure-storage-blob and django-storages.
    """
