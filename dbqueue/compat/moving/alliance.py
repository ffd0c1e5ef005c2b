"""What alliance-platform-storage has in its table of files that were sent.

A row of a file that came into its place is only deleted. One whose name is still in a
model's row, as its move failed or was never tried, becomes an upload, and a worker
brings the file into its place. Any other waits for its form, or was forgotten.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router

from dbqueue.compat.moving.items import Item, Left, portions, told
from dbqueue.compat.moving.tables import table
from dbqueue.fields import issuing
from dbqueue.fields.forms.values import IssuedFile
from dbqueue.fields.models import NAMED, FieldUpload, id_of_name
from dbqueue.fields.places import storage_of
from dbqueue.uploads import work
from dbqueue.uploads.intake.submission import Submission
from dbqueue.uploads.models import Upload

TempFile = table(
    "alliance_platform_storage_async_temp_file",
    id=models.AutoField(primary_key=True),
    created_at=models.DateTimeField(),
    original_filename=models.TextField(),
    key=models.CharField(max_length=500),
    field_name=models.CharField(max_length=100),
    moved_to_location=models.TextField(),
    error=models.TextField(null=True),
    content_type_id=models.IntegerField(),
)
_UNNAMED = "direct"  # nobody has a key for it


def move_files(alias: str, *, write: bool, keep_keys: bool = False) -> Iterator[Item]:
    """Take over the rows of a database; those that were, are deleted there.

    keep_keys: whether a form that is open now may still use its file.
    """
    rows: Any = TempFile._default_manager.using(alias)
    for part in portions(rows, write=write):
        for row in part:
            item = Item("file", str(row.pk), row.original_filename)
            with told(item, work.database()):
                _move(row, item, write=write, via=NAMED if keep_keys else _UNNAMED)
            if write and item.outcome != "left":
                rows.filter(pk=row.pk)._raw_delete(alias)
            yield item


def _move(row: Any, item: Item, *, write: bool, via: str) -> None:
    field = _field_of(row)
    item.what = f"{field}: {row.original_filename}"
    if row.moved_to_location:
        item.note = "its file is in its place"
        return
    holder = _holder(field, row.key)
    id = id_of_name(row.key)
    item.to = str(id)
    if Upload.objects.using(work.database()).filter(pk=id).exists():
        item.outcome = "there"
        return
    if holder is None:
        item.note = "it waits for its form, or is deleted"
    else:
        item.note = f"a worker brings it to {holder._meta.label} {holder.pk}"
        _look_for(storage_of(field), row.key)
    if write:
        taken = issuing.record(field, row.key, row.original_filename, via=via)
        if holder is not None:
            _hand_over(taken, field, holder)


def _hand_over(taken: FieldUpload, field: Any, holder: models.Model) -> None:
    """Make a job that brings what was taken over into the row that names it."""
    upload = taken.upload
    upload.size = storage_of(field).size(str(upload.held_as))  # type: ignore[union-attr]  # it exists there
    options = {**field.upload_options()}
    options.pop("inline", None)  # there may be many
    policy, using = field.upload_policy, holder._state.db
    what = (holder, field.name, policy, None, "newest", using)
    variants = field.upload_variants()
    file = IssuedFile(taken)
    Submission(file, *what, variants=variants, options=options).place()


def _field_of(row: Any) -> Any:
    """Return the upload field that a row is for. Raises Left."""
    kinds: Any = ContentType.objects.using(row._state.db)
    kind = kinds.filter(pk=row.content_type_id).first()
    try:
        if kind is None:
            raise LookupError(f"there is no content type {row.content_type_id}")
        model = apps.get_model(kind.app_label, kind.model)
        field: Any = model._meta.get_field(row.field_name)
    except (LookupError, FieldDoesNotExist) as error:
        raise Left(f"its field is gone: {error}") from error
    if not getattr(field, "takes_uploads", False) or storage_of(field) is None:
        raise Left(
            f"{field} is no upload field with a storage that takes uploads: change the "
            "import of its model, and its storage, first"
        )
    return field


def _look_for(storage: Any, key: str) -> None:
    """Raise Left if a storage has no such object, or does not answer."""
    try:
        is_there = storage.exists(key)
    except Exception as error:  # of any storage
        raise Left(f"its storage: {type(error).__name__}: {error}") from error
    if not is_there:
        raise Left(f"its storage has no {key!r}")


def _holder(field: Any, key: str) -> models.Model | None:
    """Return the row whose field has a name, None if there is none."""
    rows: Any = field.model._base_manager.using(router.db_for_write(field.model))
    found: models.Model | None = rows.filter(**{field.name: key}).first()
    return found
