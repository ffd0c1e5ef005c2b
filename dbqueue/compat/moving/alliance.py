"""What alliance-platform-storage has in its table of files that were sent.

A row of a file that came into its place is only deleted. One whose name is still in a
model's row, as its move failed or was never tried, becomes an upload, and a worker
brings the file into its place. Any other waits for its form, or was forgotten.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import models, router, transaction

from dbqueue.compat.moving.items import Item, Left, noted, portions
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
    # Not in commits of many rows: storages are asked, and may be slow to answer.
    for part in portions(rows, write=False):
        for row in part:
            item = Item("file", str(row.pk), row.original_filename)
            with noted(item):
                found = _look_at(row, item)
                if write:
                    _move(row, item, found, via=NAMED if keep_keys else _UNNAMED)
            yield item


class _Held(NamedTuple):
    """The row of a model that names a file, and the file's bytes."""

    by: models.Model
    size: int


def _look_at(row: Any, item: Item) -> _Held | None:
    """Say in the item what becomes of a row; return what names its file.

    Raises Left.
    """
    field = _field_of(row)
    item.what = f"{field}: {row.original_filename}"
    if row.moved_to_location:
        item.note = "its file is in its place"
        return None
    item.to = str(id_of_name(row.key))
    if _is_there(row):
        item.outcome = "there"
        return None
    holder = _holder(field, row.key)
    if holder is None:
        item.note = "it waits for its form, or is deleted"
        return None
    item.note = f"a worker brings it to {holder._meta.label} {holder.pk}"
    return _Held(holder, _size(storage_of(field), row.key))


def _move(row: Any, item: Item, found: _Held | None, *, via: str) -> None:
    """Take a row over and delete it, in one commit for each of the databases."""
    alias, here = row._state.db, work.database()
    # The one there is ended last: whoever dies in between finds it "there".
    with transaction.atomic(using=alias), transaction.atomic(using=here):
        rows: Any = TempFile._default_manager.using(alias).filter(pk=row.pk)
        if not rows._raw_delete(alias):  # else it is ours: this locks it
            item.outcome = "there"
        elif not (row.moved_to_location or _is_there(row)):
            field, name = _field_of(row), row.original_filename
            taken = issuing.record(field, row.key, name, via=via)
            if found is not None:
                _hand_over(taken, field, found)


def _is_there(row: Any) -> bool:
    rows = Upload.objects.using(work.database()).filter(pk=id_of_name(row.key))
    return rows.exists()


def _hand_over(taken: FieldUpload, field: Any, found: _Held) -> None:
    """Make a job that brings what was taken over into the row that names it."""
    taken.upload.size, holder = found.size, found.by
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


def _size(storage: Any, key: str) -> int:
    """Return an object's bytes. Raises Left if there is none, or no answer."""
    try:
        size: int | None = storage.measure(key)
    except Exception as error:  # of any storage
        raise Left(f"its storage: {type(error).__name__}: {error}") from error
    if size is None:
        raise Left(f"its storage has no {key!r}")
    return size


def _holder(field: Any, key: str) -> models.Model | None:
    """Return the row whose field has a name, None if there is none."""
    rows: Any = field.model._base_manager.using(router.db_for_write(field.model))
    found: models.Model | None = rows.filter(**{field.name: key}).first()
    return found
