"""The errors of uploads; they can be imported from dbqueue.exceptions, too."""

from collections.abc import Iterator
from contextlib import contextmanager

from dbqueue.exceptions import DbqueueError
from dbqueue.imaging import exceptions as imaging
from dbqueue.imaging.exceptions import SandboxFailed as SandboxFailed


class UploadError(DbqueueError, ValueError):
    """The base of errors in an upload; raised where it is handed over."""


class UploadFieldUnknown(UploadError):
    """The upload fits no field of the model, or more than one."""


class UploadFieldUnsupported(UploadError):
    """The field does work of its own when it is saved, or has no room for a name."""


class InstanceNotSaved(UploadError):
    """The upload is for a row that is not, or no longer, in the database."""


class UploadEmpty(UploadError):
    """The file has no content."""


class UploadIncomplete(UploadError):
    """Fewer or more bytes could be read than the size of the file."""


class UploadTooLarge(UploadError):
    """The file is over the limit of its policy, or of `MAX_SIZE` in `UPLOADS`."""


class UploadQuotaExceeded(UploadError):
    """Too much is pending already, of this owner or in all."""


class UploadUsed(UploadError):
    """A file that can be saved once was saved before, or has expired."""


class UploadPending(UploadError):
    """Another upload is pending for the same field, and may not be replaced."""


class ContentRejected(imaging.ContentRejected, UploadError):
    """The content is not what the policy allows, for good.

    `code` names the reason for programs, `message` is for the person who uploaded it.
    """


class UploadDamaged(DbqueueError):
    """The bytes in the database are not those that were stored."""


class UploadNotStorable(DbqueueError):
    """The storage refused the file for a reason that no retry removes."""


@contextmanager
def as_upload_errors() -> Iterator[None]:
    """Raise imaging's ContentRejected as ours, which is an UploadError."""
    try:
        yield
    except imaging.ContentRejected as error:
        raise ContentRejected(error.code, error.message) from error


def _is_error(name: str) -> bool:
    found = globals()[name]
    return isinstance(found, type) and issubclass(found, DbqueueError)


__all__ = list(filter(_is_error, dir()))  # for dbqueue.exceptions
