"""The errors of upload fields; they can be imported from dbqueue.exceptions, too."""

from dbqueue.uploads.exceptions import UploadError, UploadQuotaExceeded

__all__ = [
    "NotPermitted",
    "OffsetConflict",
    "TokenExpired",
    "TokenInvalid",
    "TooManyUploads",
]


class TokenInvalid(UploadError):
    """A token is not one of ours, is for something else, or belongs to another."""

    status = 403


class TokenExpired(UploadError):
    """The time of a token is over, or its upload is no longer there."""

    status = 410


class NotPermitted(UploadError):
    """The user may not upload to the field, or not see its file."""

    status = 403


class OffsetConflict(UploadError):
    """Bytes came for another place than the one that is next, or from two at once."""

    status = 409


class TooManyUploads(UploadQuotaExceeded):
    """A user has begun more uploads than `FIELDS` allows, in a minute or in all."""

    status = 429
