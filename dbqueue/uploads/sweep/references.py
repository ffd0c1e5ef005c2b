"""Whether an object in a storage may be deleted: which fields refer to it."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db import models, router

from dbqueue.uploads.exceptions import UploadFieldUnknown
from dbqueue.uploads.models import Upload, UploadArtifact
from dbqueue.uploads.targets import Target, file_fields, target_of_upload

_TEXTS = (models.CharField, models.TextField)


def is_in_use(upload: Upload) -> bool:
    """Tell whether pages may show variants that only the upload's record knows."""
    with suppress(UploadFieldUnknown):
        if upload.pictures:
            return target_of_upload(upload).holds(upload.final_name)
    return False


def shown_again(artifacts: Iterable[UploadArtifact]) -> list[UploadArtifact]:
    """Return those of uploads whose picture is back in the field, as after an undo.

    No field names the variants that pages show then.
    """
    uploads = {one.upload_id: one.upload for one in artifacts}
    names = {
        pk: {upload.final_name, *(made["name"] for made in upload.pictures.values())}
        for pk, upload in uploads.items()
        if is_in_use(upload)
    }
    return [one for one in artifacts if one.name in names.get(one.upload_id, ())]


def needed(names: Collection[str], target: Target) -> set[str]:
    """Return the names that any row refers to, or that a field has as its default.

    All file fields are asked, as two storages that are not equal may write to the same
    place, and the text fields that are called as the target is: packages that keep the
    history of a model have those. One query a field for all names: no index helps, and
    tables may be long.
    """
    found: set[str] = set()
    for field in (*file_fields(), *_texts_called(target.field.name)):
        model = field.model
        # Not the database for reading: it may be a replica that is behind.
        write_to = router.db_for_write(model)
        database = target.database if model is target.model else write_to
        # By no manager: one may hide rows, as of what can be restored.
        every: models.QuerySet[Any] = models.QuerySet(model, using=database)
        rows = every.filter(**{f"{field.name}__in": names})
        found.update(rows.values_list(field.attname, flat=True))
        found.add(str(field.get_default()))
    return found.intersection(names)


def _texts_called(name: str) -> Iterator["models.Field[Any, Any]"]:
    for model in apps.get_models():
        if model._meta.managed and not model._meta.proxy:
            for field in model._meta.local_fields:
                if field.name == name and isinstance(field, _TEXTS):
                    yield field
