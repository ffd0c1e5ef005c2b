"""S3AsyncUploadStorage, by its name in alliance-platform-storage."""

from dbqueue.compat.alliance_platform.storage.async_uploads.storage.base import (
    AllianceNames,
)
from dbqueue.fields.storages.s3 import S3UploadStorage

__all__ = ["S3AsyncUploadStorage"]


class S3AsyncUploadStorage(AllianceNames, S3UploadStorage):
    """S3Storage of django-storages, to which browsers send files themselves.

    Raises MissingExtra, on import, without boto3 and django-storages.
    """
