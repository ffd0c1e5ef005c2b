"""The form fields: they keep a file whose form has errors elsewhere."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import models

from dbqueue.fields import issuing, owners
from dbqueue.fields.forms.values import (
    INVALID,
    AsyncFileInputData,
    is_current,
    resolve,
)
from dbqueue.fields.forms.widgets import AsyncFileInput
from dbqueue.fields.registry import AsyncFieldRegistry
from dbqueue.uploads.exceptions import UploadError


class AsyncFileField(forms.FileField):
    """A file that was sent before, or comes with the form.

    async_field_registry, async_field_id: the model's field it is for.
    storage: not used; the model's field has it.
    """

    widget = AsyncFileInput

    def __init__(
        self,
        *args: Any,
        async_field_registry: AsyncFieldRegistry,
        async_field_id: str,
        storage: Any = None,
        **kwargs: Any,
    ) -> None:
        self.async_field_registry = async_field_registry
        self.async_field_id = async_field_id
        self.storage = storage
        super().__init__(*args, **kwargs)
        if isinstance(self.widget, AsyncFileInput):
            self.widget.model_field = self.model_field

    @property
    def model_field(self) -> Any:
        """The field of the model. Raises KeyError for an id that is not listed."""
        return self.async_field_registry.fields_by_id[self.async_field_id]

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Return what the model's field takes: a file, AsyncFileInputData, or False."""
        if isinstance(data, ValidationError):  # of the text that the widget found
            raise data
        if isinstance(data, AsyncFileInputData):
            if not is_current(data, initial):
                resolve(data, self.model_field, _instance(initial))
            return data
        if isinstance(data, str) and data:
            raise ValidationError(INVALID, code="invalid")
        found = super().clean(data, initial)
        if found is data and isinstance(data, UploadedFile):
            return self._kept(data, initial)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what is shown again: also a file that came with the form."""
        if isinstance(data, ValidationError):
            return initial
        if isinstance(data, UploadedFile):
            kept = getattr(data, "kept_as", None)
            return initial if kept is None else kept.beside(initial)
        if isinstance(data, AsyncFileInputData):
            return data.beside(initial)
        return super().bound_data(data, initial)

    def has_changed(self, initial: Any, data: Any) -> bool:
        if isinstance(data, AsyncFileInputData):
            return not self.disabled and not is_current(data, initial)
        return super().has_changed(initial, data)

    def _kept(self, file: Any, initial: Any) -> Any:
        """Keep the file where the next request finds it; outside of one, leave it."""
        request = owners.current_request()
        try:
            if request is None:
                issuing.look_at(self.model_field, file)
                return file
            row = issuing.keep(request, self.model_field, file, _instance(initial))
        except UploadError as error:
            raise ValidationError(str(error), code="rejected") from error
        data = AsyncFileInputData.of(row)
        file.kept_as = data  # for bound_data()
        return data


class AsyncImageField(AsyncFileField):
    """A picture that was sent before, or comes with the form."""


def _instance(initial: Any) -> models.Model | None:
    """Return the instance whose field a form shows, None for a new one."""
    instance: models.Model | None = getattr(initial, "instance", None)
    return None if instance is None or instance._state.adding else instance
