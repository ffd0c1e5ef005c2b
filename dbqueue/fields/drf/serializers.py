"""The fields of serializers: they take what a browser has sent, or a plain file."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core import exceptions
from django.core.files.uploadedfile import UploadedFile
from django.db import models
from rest_framework import serializers

from dbqueue.fields import issuing, owners
from dbqueue.fields.forms.values import AsyncFileInputData, is_current, resolve
from dbqueue.fields.model import fields
from dbqueue.uploads.exceptions import UploadError

_SCHEMA = {
    "type": "object",
    "required": ["key", "name"],
    "properties": {
        "key": {"type": "string"},
        "name": {"type": "string"},
        "url": {"type": "string", "nullable": True, "readOnly": True},
        "width": {"type": "integer", "nullable": True, "writeOnly": True},
        "height": {"type": "integer", "nullable": True, "writeOnly": True},
    },
}


class Given(AsyncFileInputData):
    """What JSON says of a file; refused by an error that a view answers with 400."""

    __slots__ = ()

    def resolved(self, model_field: Any, instance: models.Model | None) -> Any:
        try:
            return super().resolved(model_field, instance)
        except exceptions.ValidationError as error:
            problem = {model_field.name: error.messages}
            raise serializers.ValidationError(problem) from error


class AsyncFileField(serializers.ModelField):  # type: ignore[misc]  # untyped
    """A file that was sent before, as {"key": …, "name": …}, or comes with the request.

    It answers {"key", "name", "url"}, or null. In a ModelSerializer, the field of the
    model is found by the serializer's `source`.
    """

    default_error_messages = {
        "invalid": "Invalid upload received. Choose the file again.",
        "max_length": "Ensure this filename has at most {max_length} characters.",
    }
    model_field: Any
    # Read by drf-spectacular for OpenAPI, if that is there.
    _spectacular_annotation = {"field": _SCHEMA}

    def __init__(self, model_field: Any = None, **kwargs: Any) -> None:
        # ModelField would count the characters of what is no text.
        length = kwargs.pop("max_length", None)
        super().__init__(model_field, **kwargs)
        self.max_length = length
        # What to_internal_value() is not given.
        self._row: Any = None

    def bind(self, field_name: str, parent: Any) -> None:
        """Find the field of the model. Raises FieldDoesNotExist."""
        super().bind(field_name, parent)
        if self.model_field is None:
            self.model_field = _model_of(parent)._meta.get_field(self.source)
        if self.model_field.blank and not self.read_only:
            self.allow_null = self._kwargs.get("allow_null", True)

    def get_value(self, dictionary: Any) -> Any:
        self._row = dictionary
        return super().get_value(dictionary)

    def validate_empty_values(self, data: Any) -> Any:
        # A form has no null.
        is_form_without = data == "" and self.allow_null
        return super().validate_empty_values(None if is_form_without else data)

    def to_internal_value(self, data: Any) -> Any:
        """Return what the model's field takes: a file, or what names one."""
        if isinstance(data, UploadedFile):
            self._check_length(data.name)
            with self._explained():
                issuing.look_at(self.model_field, data)
            return data
        given = self._given(data)
        self._check_length(given.name)
        row = self._instance()
        held = getattr(row, self.model_field.attname, None) if row else None
        if not is_current(given, held):
            with self._explained(), self._acting():
                resolve(given, self.model_field, row)
        return given

    def get_attribute(self, instance: Any) -> Any:
        # Not the instance: also what is validated, and a relation's, has a file.
        return serializers.Field.get_attribute(self, instance)

    def to_representation(self, value: Any) -> dict[str, Any] | None:
        """Return the JSON for a file, None where there is none."""
        if not value:
            return None
        if isinstance(value, AsyncFileInputData):
            return {"key": value.key, "name": value.name, "url": None}
        name = str(value.name)
        return {"key": name, "name": name.rpartition("/")[2], "url": _url(value)}

    def _given(self, data: Any) -> Given:
        if isinstance(data, str):  # of a form
            try:
                data = json.loads(data)
            except ValueError:
                self.fail("invalid")
        with self._explained():
            return Given.create_from_user_input(data)

    def _check_length(self, name: str | None) -> None:
        if self.max_length is not None and len(name or "") > self.max_length:
            self.fail("max_length", max_length=self.max_length)

    def _instance(self) -> models.Model | None:
        """Return the row that is changed, None for a new one.

        That of a serializer within another is named by its key.
        """
        instance = getattr(self.parent, "instance", None)
        if isinstance(instance, models.Model):
            return instance
        model = _model_of(self.parent)
        row = self._row if isinstance(self._row, Mapping) else {}
        key = row.get(model._meta.pk.name, row.get("pk"))
        if key in (None, ""):
            return None
        try:
            found: Any = model._base_manager.filter(pk=key).first()
        except (ValueError, TypeError, OverflowError, exceptions.ValidationError):
            return None
        return found  # type: ignore[no-any-return]  # Any, as filter() is

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Have the request be known that the serializer has, where none else is."""
        request = self.context.get("request")
        if request is None or owners.current_request() is not None:
            yield
            return
        with owners.acting(getattr(request, "_request", request)):
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exceptions.ValidationError as error:
            raise serializers.ValidationError(error.messages, code="invalid") from error
        except UploadError as error:
            raise serializers.ValidationError([str(error)], code="rejected") from error


class AsyncImageField(AsyncFileField):
    """A picture that was sent before, or comes with the request."""


# For a serializer's serializer_field_mapping, beside those of ModelSerializer.
SERIALIZER_FIELDS = {
    fields.AsyncFileField: AsyncFileField,
    fields.AsyncImageField: AsyncImageField,
}


def _model_of(serializer: Any) -> type[models.Model]:
    model: type[models.Model] = serializer.Meta.model
    return model


def _url(file: Any) -> str | None:
    try:
        return str(file.url)
    except Exception:  # of any storage; without an address, it has a name
        return None
