"""What is raised of uploads; all of it can be imported from dbqueue.exceptions, too."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbqueue.exceptions import DbqueueError
from dbqueue.imaging import exceptions as imaging
from dbqueue.imaging.exceptions import SandboxFailed

__all__ = [
    "ContentRejected",
    "InstanceNotSaved",
    "SandboxFailed",
    "UploadDamaged",
    "UploadEmpty",
    "UploadError",
    "UploadFieldUnknown",
    "UploadIncomplete",
    "UploadPending",
    "UploadQuotaExceeded",
    "UploadTooLarge",
]


class UploadError(DbqueueError, ValueError):
    """The base of what is wrong with an upload; raised where it is handed over."""


class UploadFieldUnknown(UploadError):
    """The upload fits no field of the model, or more than one."""


class InstanceNotSaved(UploadError):
    """The upload is for a row that is not, or no longer, in the database."""


class UploadEmpty(UploadError):
    """The file has no content."""


class UploadIncomplete(UploadError):
    """Fewer or more bytes could be read than the file is said to have."""


class UploadTooLarge(UploadError):
    """The file is over the limit of its policy, or of `MAX_SIZE` in `UPLOADS`."""


class UploadQuotaExceeded(UploadError):
    """Too much is pending already, of this owner or in all."""


class UploadPending(UploadError):
    """Another upload waits for the same field, and may not be replaced."""


class ContentRejected(imaging.ContentRejected, UploadError):
    """The content is not what the policy allows, for good.

    `code` names the reason for programs, `message` tells the person who uploaded it.
    """


class UploadDamaged(DbqueueError):
    """The bytes in the database are not those that were stored."""


@contextmanager
def as_upload_errors() -> Iterator[None]:
    """Raise what imaging says of a file as the UploadError that it is here."""
    try:
        yield
    except imaging.ContentRejected as error:
        raise ContentRejected(error.code, error.message) from error
