"""The widget: a file input that works without scripts, and the key of what was sent."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.forms.widgets import ClearableFileInput, Script

from dbqueue.fields import links, restrictions
from dbqueue.fields.forms.values import INVALID, AsyncFileInputData, as_json, sent
from dbqueue.fields.places import storage_of


class AsyncFileInput(ClearableFileInput):
    """Posts a file, or JSON that names one: {"key": …, "name": …}.

    Both controls have the name of the field; a file that comes with the form wins.
    """

    template_name = "dbqueue/fields/async_file_input.html"
    model_field: Any = None

    class Media:
        css = {"all": ["dbqueue/upload-field.css"]}
        js = [Script("dbqueue/upload-field.js", type="module")]

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        upload = super().value_from_datadict(data, files, name)
        # A file; a contradiction, which the field tells; or False: it was cleared.
        if upload or upload is False:
            return upload
        text = data.get(name)
        return _parsed(text) if text else None

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return name not in data and super().value_omitted_from_data(data, files, name)

    def is_initial(self, value: Any) -> bool:
        # Not by its address: that may be one of a storage, and cost a request.
        return bool(value) and getattr(value, "_committed", False)

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        was_sent = isinstance(value, AsyncFileInputData)
        pending = self._pending(value) if was_sent else None
        stored = value.initial if was_sent else value
        context = super().get_context(name, stored, attrs)
        current = self._current(stored)
        posted = pending or current
        context["widget"].update(
            is_initial=current is not None,
            is_image=self.model_field.is_image,
            current=current,
            pending=pending,
            json=json.dumps(posted) if posted else "",
            data=self._data(stored),
        )
        return context

    def use_required_attribute(self, initial: Any) -> bool:
        # What was sent before is in another control.
        return False

    def _pending(self, value: AsyncFileInputData) -> dict[str, Any] | None:
        """Return the JSON of a file that was sent, and still is there."""
        row = sent(value)
        return None if row is None else as_json(row)

    def _current(self, stored: Any) -> dict[str, Any] | None:
        if not self.is_initial(stored):
            return None
        try:
            url = stored.url
        except Exception:  # of any storage; without an address it has a name
            url = None
        return {"key": stored.name, "name": stored.name.rpartition("/")[2], "url": url}

    def _data(self, stored: Any) -> dict[str, str]:
        """Return what scripts need to know, as attributes data-…."""
        field = self.model_field
        instance: Any = getattr(stored, "instance", None)
        is_new = instance is None or instance._state.adding
        limit = restrictions.limit_of(field, storage_of(field) is None)
        return {
            "issue-url": links.address("issue"),
            "field-id": field.async_field_id,
            "instance-id": "" if is_new else str(instance.pk),
            "max-size": str(limit),
            "accept": restrictions.accept_attribute(field),
        }


def _parsed(text: Any) -> Any:
    """Return the data that a text has; a ValidationError, for the field to raise."""
    try:
        given = json.loads(text)
        return AsyncFileInputData.create_from_user_input(given) if given else None
    except ValueError:
        return ValidationError(INVALID, code="invalid")
    except ValidationError as error:
        return error
