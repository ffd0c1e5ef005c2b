"""Whether an object in a storage may go: who refers to it, in whichever field."""

from collections.abc import Collection, Iterator

from django.apps import apps
from django.db import models, router

from dbqueue.exceptions import UploadFieldUnknown
from dbqueue.models import Upload
from dbqueue.uploads.targets import Target, target_of_upload


def is_in_use(upload: Upload) -> bool:
    """Tell whether pages may show variants that only the upload's record knows."""
    try:
        return bool(upload.pictures) and target_of_upload(upload).holds(
            upload.final_name
        )
    except UploadFieldUnknown:
        return False


def needed(names: Collection[str], target: Target) -> set[str]:
    """Return the names that any row refers to, or that a field has as its default.

    One query a field for all of them: no index helps, and tables may be long.
    """
    found: set[str] = set()
    for model, field, database in _sharing(target):
        rows = model._base_manager.using(database).filter(
            **{f"{field.name}__in": names}
        )
        found.update(rows.values_list(field.attname, flat=True))
        found.add(str(field.get_default()))
    return found.intersection(names)


def _sharing(
    target: Target,
) -> Iterator[tuple[type[models.Model], models.FileField, str]]:
    """Yield the file fields, of all models, whose objects are in the same storage."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if not isinstance(field, models.FileField):
                continue
            if field.storage == target.field.storage:
                own = model is target.model
                database = target.database if own else router.db_for_read(model)
                yield model, field, database
