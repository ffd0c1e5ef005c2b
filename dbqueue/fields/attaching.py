"""What is done when a model with upload fields is saved: nothing, or an upload."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.db import connections, models, transaction

from dbqueue.fields import owners
from dbqueue.fields.forms.values import IssuedFile
from dbqueue.fields.model import memory
from dbqueue.uploads import endings, work
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.intake.submission import Submission
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.processing.bringing import bring_now
from dbqueue.uploads.targets import target_of


def attach(instances: Iterable[models.Model], using: str | None = None) -> list[Any]:
    """Hand over the files that were assigned to upload fields of saved instances.

    save() does it by itself; it is for what was saved past it, by bulk_create().
    Returns the UploadHandles. Raises what save() does.
    """
    found = [
        place(instance, field, using)
        for instance in instances
        for field in memory.upload_fields(type(instance))
    ]
    return [handle for handle in found if handle is not None]


def before_save(
    sender: Any,
    instance: models.Model,
    raw: bool = False,
    using: str | None = None,
    **kwargs: Any,
) -> None:
    """Look where an instance is saved to, and tell its fields; for pre_save."""
    memory.note_database(instance, using)
    for field in () if raw else memory.upload_fields(sender):
        if memory.assigned(instance, field) is not None:
            field.before_save(instance)


def after_save(
    sender: Any,
    instance: models.Model,
    raw: bool = False,
    using: str | None = None,
    update_fields: Any = None,
    **kwargs: Any,
) -> None:
    """Hand over what was assigned; a receiver of post_save."""
    if raw:  # as fixtures are loaded
        return
    for field in memory.upload_fields(sender):
        if update_fields is None or field.name in update_fields:
            if memory.was_emptied(instance, field):
                _end_waiting(instance, field, using)
            place(instance, field, using)
            memory.note_saved(instance, field)


def place(
    instance: models.Model, field: Any, using: str | None = None
) -> UploadHandle | None:
    """Make an upload of the file that was assigned to a field, if one was."""
    file = memory.assigned(instance, field)
    if file is None:
        return None
    options: dict[str, Any] = field.upload_options()
    what = (instance, field.name, field.upload_policy, _owner(file), "newest", using)
    variants = field.upload_variants()
    handle = Submission(file.file, *what, variants=variants, options=options).place()
    memory.forget(instance, field)
    if options.get("inline"):
        _bring_soon(instance, field, handle)
    return handle


def _owner(file: Any) -> str | None:
    if isinstance(file.file, IssuedFile) and file.file.row.upload.owner_id:
        return file.file.row.upload.owner_id
    request = owners.current_request()
    return None if request is None else owners.owner_of(request)


def _bring_soon(instance: models.Model, field: Any, handle: UploadHandle) -> None:
    """Bring the upload into its field when all of its commits are done."""
    now = partial(_bring, instance, field, handle)
    for alias in {handle.database, instance._state.db or handle.database}:
        blocks: Any = connections[alias].atomic_blocks
        # A TestCase's own never commits; Django passes over it in the same way.
        if any(not block._from_testcase for block in blocks):
            transaction.on_commit(now, using=alias, robust=True)
            return
    now()


def _bring(instance: models.Model, field: Any, handle: UploadHandle) -> None:
    handle.refresh()
    if handle.state == UploadState.STORED:
        bring_now(handle._upload)
        handle.refresh()
    if handle.state == UploadState.DONE:
        memory.show(instance, field, handle._upload)


def _end_waiting(instance: models.Model, field: Any, using: str | None) -> None:
    """Have a file that waits for a field not come into it: it was emptied since."""
    target = target_of(instance, field, using)
    rows = Upload.objects.using(work.database()).filter(**target.key())
    for upload in rows.filter(state=UploadState.STORED):
        endings.end(upload, UploadState.SUPERSEDED)
