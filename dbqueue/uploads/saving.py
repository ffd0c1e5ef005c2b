"""save_image() and save_file(): from a file in a request to an upload that waits."""

from collections.abc import Mapping
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import models

from dbqueue.imaging.policy import MAX_SIZE, FilePolicy, ImagePolicy, Variant
from dbqueue.uploads import work
from dbqueue.uploads.conf import REPLACED
from dbqueue.uploads.exceptions import UploadError
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.intake.submission import Submission

P = TypeVar("P", FilePolicy, ImagePolicy)
SAVE_MODES = ("update", "save")


def save_image(
    uploaded_file: Any,
    instance: models.Model,
    field_name: str | None = None,
    *,
    owner: Any = None,
    variants: Mapping[str, Variant] | None = None,
    policy: ImagePolicy | None = None,
    on_conflict: str = "newest",
    save_mode: str = "update",
    queue_name: str = work.QUEUE,
    priority: int = 0,
    replaced: str | None = None,
    using: str | None = None,
) -> UploadHandle:
    """Keep an uploaded image in the database until a worker has saved it to the model.

    It is written in the caller's transaction, together with its job. The instance must
    be in the database; its field keeps its value until the picture is ready.

    field_name: the ImageField; default the one that the file's form field is named for.
    owner: a user, or a text that identifies one; counted against the quotas.
    variants: further pictures to make, by name.
    policy: what is accepted and how it is stored; default ImagePolicy().
    on_conflict: if another upload is pending for the field: "newest" replaces it,
        "error" raises UploadPending.
    save_mode: "update" writes the column alone; "save" calls the model's save() with
        update_fields, and so its signals.
    queue_name, priority: of the job; default "uploads" and 0.
    replaced: "keep" or "delete" the file that the field held before, unless a field
        still names it; default DBQUEUE["UPLOADS"]["REPLACED"].
    using: the alias of the instance's database; default where its save() would write.

    Raises UploadError, a ValueError, in one of its kinds; ContentRejected for what is
    not an image by its first bytes.
    """
    policy = _policy(ImagePolicy, policy)
    what = (uploaded_file, instance, field_name, policy, owner, on_conflict, using)
    pictures = _described(variants or {})
    options = _options(save_mode, queue_name, priority, replaced)
    return Submission(*what, variants=pictures, options=options).place()


def save_file(
    uploaded_file: Any,
    instance: models.Model,
    field_name: str | None = None,
    *,
    owner: Any = None,
    policy: FilePolicy | None = None,
    on_conflict: str = "newest",
    save_mode: str = "update",
    queue_name: str = work.QUEUE,
    priority: int = 0,
    replaced: str | None = None,
    using: str | None = None,
) -> UploadHandle:
    """Keep an uploaded file in the database until a worker has saved it to the model.

    As save_image(), for any FileField: the file is stored unchanged, and `policy`, by
    default FilePolicy(), says which types are accepted.
    """
    policy = _policy(FilePolicy, policy)
    what = (uploaded_file, instance, field_name, policy, owner, on_conflict, using)
    options = _options(save_mode, queue_name, priority, replaced)
    return Submission(*what, options=options).place()


async def asave_image(*args: Any, **kwargs: Any) -> UploadHandle:
    """See save_image()."""
    return await sync_to_async(save_image)(*args, **kwargs)


async def asave_file(*args: Any, **kwargs: Any) -> UploadHandle:
    """See save_file()."""
    return await sync_to_async(save_file)(*args, **kwargs)


def _policy(kind: type[P], given: P | None) -> P:
    if given is not None and not isinstance(given, kind):
        raise UploadError(f"policy={given!r} must be of {kind.__name__}.")
    if given is not None and given.max_size > MAX_SIZE:
        raise UploadError(
            f"max_size={given.max_size!r} is more than the {MAX_SIZE:,} bytes that are "
            "kept in a database. Send larger files straight to their storage, with an "
            "upload field."
        )
    return given or kind()


def _described(variants: Any) -> dict[str, Any]:
    if not isinstance(variants, Mapping):
        raise UploadError(f"variants={variants!r} must be a dict of names to Variants.")
    for name, variant in variants.items():
        if not (isinstance(name, str) and name.isidentifier() and len(name) <= 50):
            raise UploadError(
                f"variants: {name!r} must be a name of letters, digits and _, as it "
                "becomes part of the file's name."
            )
        if not isinstance(variant, Variant):
            raise UploadError(f"variants[{name!r}] is {variant!r}, not a Variant.")
    return {name: variant.as_json() for name, variant in variants.items()}


def _options(
    save_mode: str, queue_name: str, priority: int, replaced: str | None
) -> dict[str, Any]:
    if save_mode not in SAVE_MODES:
        raise UploadError(f"save_mode={save_mode!r} must be one of {SAVE_MODES}.")
    if replaced not in (None, *REPLACED):
        raise UploadError(f"replaced={replaced!r} must be one of {REPLACED}.")
    options = {"save_mode": save_mode, "queue_name": queue_name, "priority": priority}
    return options if replaced is None else {**options, "replaced": replaced}
