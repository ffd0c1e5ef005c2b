"""What a model's upload field is on an instance: a file, and how it is assigned."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.fields.files import (
    FieldFile,
    FileDescriptor,
    ImageFieldFile,
    ImageFileDescriptor,
)
from django.utils.crypto import salted_hmac
from django.utils.http import urlencode

from dbqueue.fields import links
from dbqueue.fields.forms.values import AsyncFileInputData, is_current, is_key
from dbqueue.fields.model import memory
from dbqueue.fields.places import storage_of
from dbqueue.uploads.display.pending import field_uploads
from dbqueue.uploads.handle import UploadHandle

if TYPE_CHECKING:
    _Mixed = FieldFile
else:
    _Mixed = object


class UploadFieldFile(_Mixed):
    """A file of an upload field; while one is assigned, that one."""

    instance: models.Model
    field: Any

    @property
    def pending(self) -> UploadHandle | None:
        """The upload that may still come into the field; a query, unless prefetched."""
        if self.instance._state.adding:
            return None
        latest = field_uploads(self.instance, self.field.name).latest
        handle = UploadHandle(latest) if latest is not None else None
        return handle if handle is not None and handle.is_pending else None

    @property
    def url(self) -> str:
        """The address of the file, which asks for `perm_detail` where there is one."""
        self._require_file()  # type: ignore[attr-defined]  # private
        if self.field.perm_detail is None and storage_of(self.field) is None:
            return str(self.storage.url(self.name))
        return download_url(self.field, self.instance, str(self.name))


class AsyncFieldFile(UploadFieldFile, FieldFile):
    pass


class AsyncImageFieldFile(UploadFieldFile, ImageFieldFile):
    pass


class AsyncFileDescriptor(FileDescriptor):
    """Takes files, names, and what a form has for a file."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        value = _taken(self.field, instance, value)
        if not _is_held(self.field, instance, value):
            memory.note(instance, self.field, value)
            super().__set__(instance, value)


class AsyncImageDescriptor(ImageFileDescriptor):
    """As AsyncFileDescriptor."""

    def __set__(self, instance: models.Model, value: Any) -> None:
        value = _taken(self.field, instance, value)
        if not _is_held(self.field, instance, value):
            memory.note(instance, self.field, value)
            super().__set__(instance, value)


def download_url(field: Any, instance: models.Model, name: str) -> str:
    """Return the address that leads to a file; another one for another file."""
    # A browser that has the old picture is to ask again.
    version = salted_hmac(
        "dbqueue.fields.version", name, algorithm="sha256"
    ).hexdigest()[:8]
    query = {"field_id": field.async_field_id, "instance_id": instance.pk, "_": version}
    return f"{links.address('download')}?{urlencode(query)}"


def _taken(field: Any, instance: models.Model, value: Any) -> Any:
    """Return the file for what a form has, and anything else as it is.

    Raises ValidationError for an upload that is unknown, expired or another's.
    """
    if isinstance(value, str) and is_key(value):
        value = AsyncFileInputData(value, "")
    if not isinstance(value, AsyncFileInputData):
        return value
    if is_current(value, instance.__dict__.get(field.attname)):
        return getattr(instance, field.attname)
    return value.resolved(field, instance)


def _is_held(field: Any, instance: models.Model, value: Any) -> bool:
    """Tell whether a file is assigned to where it is, as full_clean() does."""
    held = instance.__dict__.get(field.attname)
    return isinstance(value, FieldFile) and value is held
