"""What {% pending_image %} shows: a picture, or the state of its upload."""

from typing import Any

from django.db import models
from django.forms.utils import flatatt
from django.utils.text import capfirst

from dbqueue.uploads.display.pending import FieldUploads, field_uploads
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.targets import find_field

_SHOWN = (UploadState.STORED, UploadState.REJECTED, UploadState.FAILED)


def shown(
    instance: models.Model,
    field_name: str,
    *,
    variant: str = "",
    alt: str | None = None,
    placeholder: str = "",
    attributes: dict[str, Any],
) -> dict[str, Any]:
    """Return what the template of the tag needs; for the options, see the tag."""
    field = find_field(instance, field_name)
    file = getattr(instance, field.attname)
    uploads = field_uploads(instance, field.name)
    upload = _worth_showing(uploads.latest, file.name)
    return {
        "picture": _picture(instance, file, uploads, variant) if file else None,
        "upload": upload,
        "waits": upload is not None and upload.state == UploadState.STORED,
        "alt": capfirst(str(field.verbose_name)) if alt is None else alt,
        "placeholder": placeholder,
        "attributes": flatatt(attributes),
    }


def _worth_showing(upload: Upload | None, held: str | None) -> Upload | None:
    """Return the upload if the field still holds what it is to replace."""
    if upload is None or upload.state not in _SHOWN:
        return None
    return upload if (upload.expected_name or "") == (held or "") else None


def _picture(
    instance: models.Model, file: Any, uploads: FieldUploads, variant: str
) -> dict[str, Any]:
    saved = uploads.saved.get(file.name)
    chosen = saved.pictures.get(variant) if saved else None
    if chosen:
        return {**chosen, "url": file.storage.url(chosen["name"])}
    if saved:
        return {"url": file.url, "width": saved.width, "height": saved.height}
    return {
        "url": file.url,
        "width": _kept(instance, getattr(file.field, "width_field", None)),
        "height": _kept(instance, getattr(file.field, "height_field", None)),
    }


def _kept(instance: models.Model, name: str | None) -> Any:
    # Never file.width, which would open the file.
    return getattr(instance, name) if name else None
