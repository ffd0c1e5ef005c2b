"""save_image() and save_file(): from a file in a request to an upload that waits."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.db import models
from django.db.models.fields.files import ImageField

from dbqueue.exceptions import UploadError
from dbqueue.uploads import work
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.invalidation import Invalidate, described
from dbqueue.uploads.policy import FilePolicy, ImagePolicy, Variant
from dbqueue.uploads.signatures import check_file, check_image_head
from dbqueue.uploads.submission import Submission
from dbqueue.uploads.targets import find_field, target_of

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
    invalidate: Invalidate | None = None,
    clear_cache: bool = False,
    save_mode: str = "update",
    queue_name: str = work.QUEUE,
    priority: int = 0,
    using: str | None = None,
) -> UploadHandle:
    """Keep an uploaded image in the database until a worker has saved it to the model.

    It is written in the caller's transaction, together with its job. The instance must
    be in the database; its field keeps its value until the picture is ready.

    field_name: the ImageField; default the one that the file's form field is named for.
    owner: a user, or a text that stands for one; counted against the quotas.
    variants: further pictures to make, by name.
    policy: what is accepted and how it is stored; default ImagePolicy().
    on_conflict: if another upload waits for the field: "newest" replaces it,
        "keep_first" drops this one and returns the other, "error" raises UploadPending.
    invalidate: cache keys, or a function of the instance at a module's top level of an
        installed app, for after the change; clear_cache empties the whole cache.
    save_mode: "update" writes the column alone; "save" calls the model's save() with
        update_fields, and so its signals.
    queue_name, priority: of the job; default "uploads" and 0.
    using: the alias of the instance's database; default where its save() would write.

    Raises UploadError, a ValueError, in one of its kinds: UploadFieldUnknown,
    InstanceNotSaved, UploadEmpty, UploadTooLarge, UploadIncomplete,
    UploadQuotaExceeded, UploadPending, and ContentRejected for what is no image by its
    first bytes.
    """
    policy = policy or ImagePolicy()
    _check_kind(policy, ImagePolicy)
    submission = Submission(uploaded_file, instance, owner, on_conflict)
    field = find_field(instance, submission.form_name, field_name, ImageField)
    submission.check(int(policy.max_size), partial(check_image_head, policy=policy))
    return submission.place(
        target_of(instance, field, using),
        is_image=True,
        policy=policy.as_json(),
        variants=_described(variants or {}),
        options=_options(save_mode, invalidate, clear_cache, queue_name, priority),
    )


def save_file(
    uploaded_file: Any,
    instance: models.Model,
    field_name: str | None = None,
    *,
    owner: Any = None,
    policy: FilePolicy | None = None,
    on_conflict: str = "newest",
    invalidate: Invalidate | None = None,
    clear_cache: bool = False,
    save_mode: str = "update",
    queue_name: str = work.QUEUE,
    priority: int = 0,
    using: str | None = None,
) -> UploadHandle:
    """Keep an uploaded file in the database until a worker has saved it to the model.

    As save_image(), for any FileField: the file is stored as it is, and `policy`, by
    default FilePolicy(), says which types are accepted.
    """
    policy = policy or FilePolicy()
    _check_kind(policy, FilePolicy)
    submission = Submission(uploaded_file, instance, owner, on_conflict)
    field = find_field(instance, submission.form_name, field_name, models.FileField)
    name = submission.filename
    submission.check(
        int(policy.max_size), partial(check_file, filename=name, policy=policy)
    )
    return submission.place(
        target_of(instance, field, using),
        is_image=False,
        policy=policy.as_json(),
        options=_options(save_mode, invalidate, clear_cache, queue_name, priority),
    )


async def asave_image(*args: Any, **kwargs: Any) -> UploadHandle:
    """See save_image()."""
    return await sync_to_async(save_image)(*args, **kwargs)


async def asave_file(*args: Any, **kwargs: Any) -> UploadHandle:
    """See save_file()."""
    return await sync_to_async(save_file)(*args, **kwargs)


def _check_kind(policy: Any, kind: type) -> None:
    if not isinstance(policy, kind):
        raise UploadError(f"policy={policy!r} must be of {kind.__name__}.")


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
    save_mode: str,
    invalidate: Invalidate | None,
    clear_cache: bool,
    queue_name: str,
    priority: int,
) -> dict[str, Any]:
    if save_mode not in SAVE_MODES:
        raise UploadError(f"save_mode={save_mode!r} must be one of {SAVE_MODES}.")
    return {
        "save_mode": save_mode,
        "invalidate": described(invalidate),
        "clear_cache": bool(clear_cache),
        "queue_name": queue_name,
        "priority": priority,
    }
