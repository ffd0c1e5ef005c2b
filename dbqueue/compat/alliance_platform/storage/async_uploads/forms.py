"""The fields of forms, and their widget."""

import json
from typing import Any

from django.core.exceptions import ValidationError

from dbqueue.compat.alliance_platform.storage.async_uploads.values import (
    AsyncFileInputData,
)
from dbqueue.fields import links
from dbqueue.fields.forms import fields, widgets
from dbqueue.fields.forms.values import AsyncFileInputData as SentData
from dbqueue.fields.forms.values import as_json, sent

__all__ = ["AsyncFileField", "AsyncFileInput", "AsyncFileInputData", "AsyncImageField"]


class AsyncFileInput(widgets.AsyncFileInput):
    """dbqueue's widget; a template of a project's own finds what it is used to.

    Such a one, named by `template_name` of a subclass, has the JSON as `widget.value`,
    and generate_upload_url and async_field_id in `widget.attrs`.
    """

    def format_value(self, value: Any) -> str | None:  # type: ignore[override]  # text
        """Return {"key", "name", "url"} as JSON; None where there is no file."""
        if isinstance(value, SentData):
            row = sent(value)
            known = {"key": value.key, "name": value.name}
            return json.dumps(known if row is None else as_json(row))
        current = self._current(value)
        return None if current is None else json.dumps(current)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        if self.template_name != widgets.AsyncFileInput.template_name:
            widget = context["widget"]
            widget["value"] = self.format_value(value)
            widget["attrs"] |= {
                "generate_upload_url": links.address("issue"),
                "async_field_id": self.model_field.async_field_id,
            }
        return context


class AsyncFileField(fields.AsyncFileField):
    """A file that was sent before, or comes with the form.

    max_length: the most characters of its name.
    """

    widget = AsyncFileInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        found = super().clean(data, initial)
        if isinstance(data, SentData) and self.max_length is not None:
            length = len(data.name)
            if length > self.max_length:
                raise ValidationError(
                    self.error_messages["max_length"],
                    code="max_length",
                    params={"max": self.max_length, "length": length},
                )
        return found


class AsyncImageField(AsyncFileField):
    """A picture that was sent before, or comes with the form."""
