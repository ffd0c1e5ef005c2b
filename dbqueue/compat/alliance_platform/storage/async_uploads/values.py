"""AsyncFileInputData: what a form, or JSON, says of a file."""

from typing import Any

from dbqueue.fields.forms import values

__all__ = ["AsyncFileInputData"]


class AsyncFileInputData(values.AsyncFileInputData):
    """What was sent, by its key; `width` and `height` are not believed.

    It is checked when it is assigned.
    """

    __slots__ = ()

    def validate_key(self, field: Any, existing_value: Any) -> None:
        """Raise ValidationError unless it may come into a field that holds a value."""
        if not values.is_current(self, existing_value):
            instance = getattr(existing_value, "instance", None)
            values.resolve(self, field, instance)
