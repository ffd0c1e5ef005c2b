"""Whether an object in a storage may go: who refers to it, in whichever field."""

from collections.abc import Iterator

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


def is_needed(name: str, target: Target) -> bool:
    """Tell whether any row refers to the object, or a field has it as its default."""
    return any(
        name == field.get_default()
        or model._base_manager.using(database).filter(**{field.name: name}).exists()
        for model, field, database in _sharing(target)
    )


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
