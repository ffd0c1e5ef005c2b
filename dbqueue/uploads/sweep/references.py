"""Whether an object in a storage may go: who refers to it, in whichever field."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import models, router

from dbqueue.uploads.exceptions import UploadFieldUnknown
from dbqueue.uploads.models import Upload, UploadArtifact
from dbqueue.uploads.targets import Target, target_of_upload


def is_in_use(upload: Upload) -> bool:
    """Tell whether pages may show variants that only the upload's record knows."""
    try:
        return bool(upload.pictures) and target_of_upload(upload).holds(
            upload.final_name
        )
    except UploadFieldUnknown:
        return False


def shown_again(artifacts: Iterable[UploadArtifact]) -> list[UploadArtifact]:
    """Return those of uploads whose picture is back in the field, as after an undo.

    No field names the variants that pages show then.
    """
    uploads = {artifact.upload_id: artifact.upload for artifact in artifacts}
    names = {
        pk: {upload.final_name, *(one["name"] for one in upload.pictures.values())}
        for pk, upload in uploads.items()
        if is_in_use(upload)
    }
    return [
        artifact
        for artifact in artifacts
        if artifact.name in names.get(artifact.upload_id, ())
    ]


def needed(names: Collection[str], target: Target) -> set[str]:
    """Return the names that any row refers to, or that a field has as its default.

    One query a field for all of them: no index helps, and tables may be long.
    """
    found: set[str] = set()
    for model, field, database in _file_fields(target):
        # By no manager: one may hide rows, as of what can be restored.
        every: models.QuerySet[Any] = models.QuerySet(model, using=database)
        rows = every.filter(**{f"{field.name}__in": names})
        found.update(rows.values_list(field.attname, flat=True))
        found.add(str(field.get_default()))
    return found.intersection(names)


def _file_fields(
    target: Target,
) -> Iterator[tuple[type[models.Model], models.FileField, str]]:
    """Yield the file fields of all models: whichever may hold the same objects.

    Two storages that are not equal may write to the same place.
    """
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, models.FileField):
                own = model is target.model
                # Not for reading, which a replica may do that is behind.
                database = target.database if own else router.db_for_write(model)
                yield model, field, database
