"""save_image() and save_file(): from a file in a request to an upload that waits."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.db import models
from django.db.models.fields.files import ImageField

from dbqueue.imaging.policy import FilePolicy, ImagePolicy, Variant
from dbqueue.imaging.signatures import check_file, check_image_head
from dbqueue.uploads import work
from dbqueue.uploads.exceptions import UploadError
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.intake.submission import Submission
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
    save_mode: str = "update",
    queue_name: str = work.QUEUE,
    priority: int = 0,
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
    using: the alias of the instance's database; default where its save() would write.

    Raises UploadError, a ValueError, in one of its kinds; ContentRejected for what is
    not an image by its first bytes.
    """
    what = (uploaded_file, instance, field_name, using, owner, variants, policy)
    options = _options(save_mode, queue_name, priority)
    return submit_image(*what, on_conflict, options=options)


def submit_image(
    uploaded_file: Any,
    instance: models.Model,
    field_name: str | None = None,
    using: str | None = None,
    owner: Any = None,
    variants: Mapping[str, Variant] | None = None,
    policy: ImagePolicy | None = None,
    on_conflict: str = "newest",
    *,
    options: dict[str, Any],
) -> UploadHandle:
    """As save_image(), with what Upload.options is to hold for receivers of signals."""
    policy = policy or ImagePolicy()
    _check_kind(policy, ImagePolicy)
    submission = Submission(uploaded_file, instance, owner, on_conflict)
    field = find_field(instance, submission.form_name, field_name, ImageField)
    submission.check(policy.max_size, partial(check_image_head, policy=policy))
    return submission.place(
        target_of(instance, field, using),
        is_image=True,
        policy=policy.as_json(),
        variants=_described(variants or {}),
        options=options,
    )


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
    submission.check(policy.max_size, partial(check_file, filename=name, policy=policy))
    return submission.place(
        target_of(instance, field, using),
        is_image=False,
        policy=policy.as_json(),
        options=_options(save_mode, queue_name, priority),
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


def _options(save_mode: str, queue_name: str, priority: int) -> dict[str, Any]:
    if save_mode not in SAVE_MODES:
        raise UploadError(f"save_mode={save_mode!r} must be one of {SAVE_MODES}.")
    return {
        "save_mode": save_mode,
        "queue_name": queue_name,
        "priority": priority,
    }
