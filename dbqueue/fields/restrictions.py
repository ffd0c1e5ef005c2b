"""What a field accepts: its policy, and what can be told before any byte has come."""

import mimetypes
from collections.abc import Collection
from typing import Any

from dbqueue.imaging.formats import FORMATS, IMAGE_FORMATS
from dbqueue.imaging.policy import MAX_SIZE, FilePolicy, ImagePolicy
from dbqueue.uploads.exceptions import ContentRejected

MEGABYTE = 1024 * 1024
DEFAULT_MAX_SIZE = 100  # megabytes


def as_list(restrictions: str | Collection[str] | None) -> list[str]:
    """Return restrictions as a list; one may be given as a text."""
    return [restrictions] if isinstance(restrictions, str) else list(restrictions or ())


def bytes_of(megabytes: Any) -> int:
    """Return the bytes of a field's max_size. Raises ValueError."""
    is_number = isinstance(megabytes, int | float) and not isinstance(megabytes, bool)
    if not is_number or megabytes <= 0:
        raise ValueError(
            f"max_size={megabytes!r} must be a number of megabytes, above 0."
        )
    return int(megabytes * MEGABYTE)


def file_policy(
    given: FilePolicy | None, max_size: float | None, restrictions: list[str]
) -> FilePolicy:
    """Return the policy of a field for files. Raises ValueError for two that differ."""
    size = bytes_of(DEFAULT_MAX_SIZE if max_size is None else max_size)
    if given is None:
        return FilePolicy(max_size=size, types=restrictions or None)
    if restrictions and given.types is not None:
        raise ValueError("Give file_restrictions, or a policy with types, not both.")
    most = given.max_size if max_size is None else min(size, given.max_size)
    return FilePolicy(max_size=most, types=given.types or restrictions or None)


def image_policy(
    given: ImagePolicy | None, max_size: float | None, restrictions: list[str]
) -> ImagePolicy:
    """Return the policy of a field for pictures. Raises ValueError."""
    policy = given or ImagePolicy(max_size=MAX_SIZE)
    size = min(bytes_of(DEFAULT_MAX_SIZE if max_size is None else max_size), MAX_SIZE)
    formats = [name for name in policy.formats if _is_allowed(name, restrictions)]
    if not formats:
        raise ValueError(
            f"file_restrictions={restrictions!r} leaves none of the formats of "
            f"pictures: {', '.join(IMAGE_FORMATS)}."
        )
    return ImagePolicy.from_json(
        {
            **policy.as_json(),
            "max_size": min(policy.max_size, size),
            "formats": formats,
        }
    )


def is_valid_name(filename: str, restrictions: list[str], is_image: bool) -> bool:
    """Tell whether a name may be that of a file which is accepted."""
    guess = mimetypes.guess_type(filename)[0]
    if is_image and guess is not None and not guess.startswith("image/"):
        return False
    return not restrictions or any(
        _names(restriction, filename, guess) for restriction in restrictions
    )


def check_name(field: Any, filename: str, content_type: str) -> None:
    """Raise ContentRejected if a file of this name and type will not be accepted."""
    if field.is_valid_filetype(filename):
        return
    unnamed = mimetypes.guess_type(filename)[0] is None
    restrictions = as_list(field.file_restrictions)
    if unnamed and any(_names(one, filename, content_type) for one in restrictions):
        return
    accepted = ", ".join(restrictions) or "image/*"
    raise ContentRejected(
        "type_not_allowed",
        f"This type of file is not accepted here. Accepted: {accepted}.",
    )


def type_of(filename: str, declared: str) -> str:
    """Return the content type under which a storage takes a file."""
    return mimetypes.guess_type(filename)[0] or declared or "application/octet-stream"


def accept_attribute(field: Any) -> str:
    """Return what a browser's choice of files shows: the restrictions of the field."""
    return ",".join(as_list(field.file_restrictions)) or (
        "image/*" if field.is_image else ""
    )


def limit_of(field: Any, in_database: bool) -> int:
    """Return the most bytes of one file."""
    most: int = field.upload_policy.max_size
    return min(most, MAX_SIZE) if in_database else most


def _names(restriction: str, filename: str, content_type: str | None) -> bool:
    if restriction.startswith("."):
        return filename.lower().endswith(restriction.lower())
    if restriction.endswith("/*"):
        return bool(content_type) and str(content_type).startswith(restriction[:-1])
    return content_type == restriction


def _is_allowed(name: str, restrictions: list[str]) -> bool:
    made = FORMATS[name]
    named = {f"a{ending}" for ending in (made.extension, *_others(made.extension))}
    return not restrictions or any(
        _names(one, filename, made.content_type)
        for one in restrictions
        for filename in named
    )


def _others(extension: str) -> list[str]:
    kind = mimetypes.guess_type(f"a{extension}")[0]
    return mimetypes.guess_all_extensions(kind) if kind else []
