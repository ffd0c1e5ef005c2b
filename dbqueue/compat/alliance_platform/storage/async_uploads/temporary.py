"""AsyncTempFile: the uploads that wait for their forms, by the names they had."""

from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.contrib.contenttypes.models import ContentType

from dbqueue.fields import issuing
from dbqueue.fields.forms.values import key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.places import storage_of

__all__ = ["AsyncTempFile"]


class AsyncTempFile(FieldUpload):
    """An upload that was begun for a field; a view of dbqueue's own table.

    Its columns are those of FieldUpload; what they were called are properties here.
    """

    class Meta:
        proxy = True
        # Nobody's migrations and content types are to know of it.
        apps = Apps()
        app_label = "dbqueue"

    def __str__(self) -> str:
        return self.key

    @classmethod
    def create_for_field(cls, field: Any, filename: str) -> "AsyncTempFile":
        """Return a new one, for a program that puts the object there itself.

        Its `key` is the name in the field's storage. Whoever has it may use it, once.
        Raises ValueError for a field that receives into the database.
        """
        storage = storage_of(field)
        if storage is None:
            raise ValueError(
                f"{field} receives into the database, and not into its storage."
            )
        name = storage.generate_temporary_path(filename, max_length=field.max_length)
        row = issuing.record(field, name, filename)
        return cls.objects.using(row._state.db).get(pk=row.pk)

    @property
    def original_filename(self) -> str:
        return self.upload.filename

    @property
    def key(self) -> str:
        return key_of(self)

    @property
    def content_type(self) -> ContentType:
        return ContentType.objects.get_for_model(apps.get_model(self.upload.model))

    @property
    def field_name(self) -> str:
        return self.upload.field_name

    @property
    def moved_to_location(self) -> str:
        return self.upload.final_name

    @property
    def error(self) -> str | None:
        return self.upload.error_message or None
