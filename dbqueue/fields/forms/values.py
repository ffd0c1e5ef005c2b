"""What a form has for a file: the key of one that was sent, or of the one stored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dbqueue.fields import links, owners, permissions, receiving, tokens
from dbqueue.fields.exceptions import TokenExpired, TokenInvalid
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.storages.base import TEMPORARY
from dbqueue.uploads.exceptions import UploadError
from dbqueue.uploads.intake.received import ReceivedFile
from dbqueue.uploads.models import UploadState

logger = logging.getLogger(__name__)

INVALID = _("Invalid upload received. Choose the file again.")
# What pages add for themselves, and nobody believes.
_IGNORED = ("url", "size", "statusUrl", "cancelUrl", "previewUrl")
_KNOWN = ("key", "name", "width", "height", "error")


class IssuedFile(ReceivedFile):
    """A file that was sent for a field; it can be saved once."""

    once = True

    def __init__(self, row: FieldUpload) -> None:
        super().__init__(row.upload, "")
        self.row = row


@dataclass(slots=True)
class AsyncFileInputData:
    """What a form, or JSON, says of a file. `width` and `height` are not believed."""

    key: str
    name: str
    width: int | None = None
    height: int | None = None
    error: str | None = None
    # What was found for the key.
    file: IssuedFile | None = field(default=None, repr=False, compare=False)
    # What the field holds meanwhile, for the widget.
    initial: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def create_from_user_input(cls, given: Any) -> "AsyncFileInputData":
        """Return what a dict says. Raises ValidationError for anything else."""
        if not isinstance(given, Mapping):
            raise ValidationError(INVALID, code="invalid")
        found = {key: value for key, value in given.items() if key not in _IGNORED}
        error = found.get("error") or None
        key: Any = found.get("key", "" if error else None)
        name: Any = found.get("name", "")
        texts = isinstance(key, str) and isinstance(name, str)
        if not texts or set(found) - set(_KNOWN):
            raise ValidationError(INVALID, code="invalid")
        width, height = found.get("width"), found.get("height")
        return cls(key, name, width, height, None if error is None else str(error))

    @classmethod
    def of(cls, row: FieldUpload) -> "AsyncFileInputData":
        """Return what stands for a file that was sent."""
        return cls(key_of(row), row.upload.filename, file=IssuedFile(row))

    def beside(self, initial: Any) -> "AsyncFileInputData":
        """Return this, to be shown with what the field holds meanwhile."""
        self.initial = initial
        return self

    @property
    def is_temporary(self) -> bool:
        return self.key.startswith(f"{TEMPORARY}/")


def key_of(row: FieldUpload) -> str:
    """Return the key by which a form names an upload."""
    return f"{TEMPORARY}/{tokens.sign('attach', row)}"


def as_json(row: FieldUpload) -> dict[str, Any]:
    """Return an upload as forms and JSON have it."""
    addresses = links.addresses_of(row, is_image=row.upload.is_image)
    return {
        "key": key_of(row),
        "name": row.upload.filename,
        "size": row.upload.size,
        "url": addresses["previewUrl"],
        **addresses,
    }


def is_current(data: AsyncFileInputData, held: Any) -> bool:
    """Tell whether data names what a field holds already."""
    return bool(held) and data.key == str(getattr(held, "name", held))


def resolve(
    data: AsyncFileInputData, model_field: Any, instance: models.Model | None
) -> IssuedFile:
    """Return the file that was sent for a field of an instance, None for a new one.

    Raises ValidationError for one that is unknown, expired, incomplete, somebody
    else's, for another field or another object.
    """
    if data.error:
        raise ValidationError(data.error, code="upload_failed")
    if data.file is None:
        data.file = IssuedFile(_found(data, model_field, instance))
    return data.file


def sent(data: AsyncFileInputData) -> FieldUpload | None:
    """Return the upload that data names, None if it cannot be used any more."""
    if data.file is None and data.is_temporary:
        try:
            row = _of_key(data.key, owners.current_request())
        except UploadError:
            return None
        if row.upload.state != UploadState.RECEIVING:
            return None
        data.file = IssuedFile(row)
    return data.file.row if data.file else None


def _of_key(key: str, request: HttpRequest | None) -> FieldUpload:
    return tokens.find("attach", key[len(TEMPORARY) + 1 :], request)


def _found(
    data: AsyncFileInputData, model_field: Any, instance: models.Model | None
) -> FieldUpload:
    if not data.is_temporary:
        logger.warning("A form has a key that is none: field=%s", model_field)
        raise ValidationError(INVALID, code="invalid")
    request = _request()
    try:
        row = _of_key(data.key, request)
        _check_binding(row, model_field, instance, request)
        receiving.finish(row)
    except (TokenInvalid, TokenExpired) as error:
        logger.warning("An upload was refused: field=%s %s", model_field, error)
        raise ValidationError(str(error), code="invalid") from error
    except UploadError as error:
        raise ValidationError(str(error), code="rejected") from error
    return row


def _check_binding(
    row: FieldUpload,
    model_field: Any,
    instance: models.Model | None,
    request: HttpRequest,
) -> None:
    """Raise TokenInvalid for another field or object, TokenExpired for one used."""
    if row.field_id != model_field.async_field_id:
        raise TokenInvalid("This upload was sent for another field.")
    if row.upload.state != UploadState.RECEIVING:
        raise TokenExpired("This upload was used already. Choose the file again.")
    if not receiving.has_all(row):
        raise TokenExpired("This upload is not complete. Choose the file again.")
    pk = "" if instance is None or instance._state.adding else str(instance.pk)
    if row.instance_pk not in ("", pk):
        raise TokenInvalid("This upload was sent for another object.")
    # Of a file that came with a form, its view decides; but it may be for a new object,
    # and whoever may create may not replace.
    if row.via != "form" or (pk and not row.instance_pk):
        action: permissions.Action = "update" if pk else "create"
        permissions.demand(model_field, action, request, instance if pk else None)


def _request() -> HttpRequest:
    request = owners.current_request()
    if request is None:
        raise ImproperlyConfigured(
            "An upload was given to a form, a serializer or a model, and it is not "
            "known by whom. Add dbqueue.fields.middleware.UploadFieldsMiddleware to "
            "MIDDLEWARE; outside of a request, use dbqueue.fields.acting(request)."
        )
    return request
