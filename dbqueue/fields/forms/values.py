"""What a form has for a file: the key of one that was sent, or of the one stored."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from dbqueue.fields import links, owners, permissions, receiving, tokens
from dbqueue.fields.exceptions import TokenExpired, TokenInvalid
from dbqueue.fields.models import NAMED, FieldUpload, id_of_name
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
    def create_from_user_input(cls, given: Any) -> Self:
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

    def resolved(self, model_field: Any, instance: models.Model | None) -> IssuedFile:
        """Return the file for a field of an instance; raises as resolve() does."""
        return resolve(self, model_field, instance)


def key_of(row: FieldUpload) -> str:
    """Return the key by which a form names an upload."""
    if row.via == NAMED:
        return str(row.upload.held_as)
    return f"{TEMPORARY}/{tokens.sign('attach', row)}"


def is_key(text: str) -> bool:
    """Tell whether a text is the key of an upload that was begun here."""
    return text.startswith(f"{TEMPORARY}/") and (
        tokens.is_signed("attach", text[len(TEMPORARY) + 1 :])
    )


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
    if data.file is None:
        try:
            row = _of_key(data.key, owners.current_request())
        except UploadError:
            return None
        if row.upload.state != UploadState.RECEIVING:
            return None
        data.file = IssuedFile(row)
    return data.file.row if data.file else None


def _of_key(key: str, request: HttpRequest | None) -> FieldUpload:
    try:
        return tokens.find("attach", key.removeprefix(f"{TEMPORARY}/"), request)
    except TokenInvalid:
        named = tokens.row_of(id_of_name(key))
        if named is None or named.via != NAMED:
            raise
        return named


def _found(
    data: AsyncFileInputData, model_field: Any, instance: models.Model | None
) -> FieldUpload:
    request = owners.current_request()
    try:
        row = _of_key(data.key, request)
        if row.via != NAMED:
            request = _demanded(request)
        _check_binding(row, model_field, instance, request)
        receiving.finish(row)
    except (TokenInvalid, TokenExpired) as error:
        logger.warning("An upload was refused: field=%s %s", model_field, error)
        text = str(error) if data.is_temporary else INVALID
        raise ValidationError(text, code="invalid") from error
    except UploadError as error:
        raise ValidationError(str(error), code="rejected") from error
    return row


def _check_binding(
    row: FieldUpload,
    model_field: Any,
    instance: models.Model | None,
    request: HttpRequest | None,
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
    if request is None:  # it was named by a program, or by who knows its name
        return
    # Of a file that came with a form, its view decides; but it may be for a new object,
    # and whoever may create may not replace.
    if row.via != "form" or (pk and not row.instance_pk):
        action: permissions.Action = "update" if pk else "create"
        permissions.demand(model_field, action, request, instance if pk else None)


def _demanded(request: HttpRequest | None) -> HttpRequest:
    if request is None:
        raise ImproperlyConfigured(
            "An upload was given to a form, a serializer or a model, and it is not "
            "known by whom. Add dbqueue.fields.middleware.UploadFieldsMiddleware to "
            "MIDDLEWARE; outside of a request, use dbqueue.fields.acting(request)."
        )
    return request
