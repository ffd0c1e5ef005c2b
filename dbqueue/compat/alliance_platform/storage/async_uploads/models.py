"""The fields of models, with the defaults of alliance-platform-storage."""

from typing import Any, Literal

from django.db import models

from dbqueue.compat.alliance_platform import settings
from dbqueue.compat.alliance_platform.storage.async_uploads import forms
from dbqueue.compat.alliance_platform.storage.async_uploads.registry import (
    default_async_field_registry,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.temporary import (
    AsyncTempFile,
)
from dbqueue.compat.alliance_platform.storage.async_uploads.values import (
    AsyncFileInputData,
)
from dbqueue.fields import restrictions
from dbqueue.fields.model import fields, mixin
from dbqueue.fields.model.files import (
    AsyncFieldFile,
    AsyncFileDescriptor,
    AsyncImageDescriptor,
    AsyncImageFieldFile,
)
from dbqueue.fields.permissions import Action
from dbqueue.fields.places import storage_of

__all__ = [
    "AsyncFieldFile",
    "AsyncFileDescriptor",
    "AsyncFileField",
    "AsyncFileInputData",
    "AsyncFileMixin",
    "AsyncImageDescriptor",
    "AsyncImageField",
    "AsyncImageFieldFile",
    "AsyncTempFile",
    "default_max_length",
    "default_max_size",
]

default_max_size = restrictions.DEFAULT_MAX_SIZE  # megabytes
default_max_length = 500


class AsyncFileMixin(mixin.AsyncFileMixin):
    """What differs from dbqueue's own fields; see dbqueue.fields for all that is taken.

    The file is brought in by save(), after its commit, unless `move` is "queue"; the
    permissions are "app.model_create", _update and _detail; the storage must be one
    that takes uploads.
    """

    default_registry = default_async_field_registry

    def __init__(
        self,
        *args: Any,
        move: Literal["queue", "inline"] = "inline",
        max_length: int | None = default_max_length,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, move=move, max_length=max_length, **kwargs)
        self.file_restrictions = restrictions.as_list(self.file_restrictions)
        if storage_of(self) is None:
            raise ValueError(
                f"The storage {self.storage!r} takes no uploads. Give the field one of "
                "dbqueue.compat.alliance_platform.storage.async_uploads.storage, or "
                "make it the default of STORAGES; or use the fields of dbqueue.fields, "
                "which receive into the database."
            )

    def default_permission(self, model: type[models.Model], action: Action) -> str:
        return settings.permission_name(model, action)

    def before_save(self, instance: models.Model) -> None:
        self.before_process_file(instance)
        self.before_move_file(instance)

    def before_process_file(self, instance: models.Model) -> None:
        """Do nothing; called before a row is saved that a file was assigned to."""

    def before_move_file(self, instance: models.Model) -> None:
        """Do nothing; called after before_process_file()."""


class AsyncFileField(AsyncFileMixin, fields.AsyncFileField):
    """A FileField whose file may arrive before its form."""

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": forms.AsyncFileField, **kwargs})


class AsyncImageField(AsyncFileMixin, fields.AsyncImageField):
    """An ImageField whose picture may arrive before its form.

    Its width and height are those of the picture, measured when it is brought in.
    """

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": forms.AsyncImageField, **kwargs})
