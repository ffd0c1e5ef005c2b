"""Rows of uploads, as they are at some moment of their way."""

from dbqueue.ids import uuid7
from dbqueue.models import Upload


def an_upload(instance, state="STORED", field_name="photo", **columns):
    columns = {
        "id": uuid7(),
        "model": "gallery.Profile",
        "given_as": "gallery.Profile",
        "object_pk": str(instance.pk),
        "field_name": field_name,
        "database": "default",
        "is_image": True,
        "filename": "ada.jpg",
        "size": 3,
        "chunk_size": 3,
        "chunk_count": 1,
        "created_at": "2026-01-01T00:00:00Z",
        "expected_name": getattr(instance, field_name).name,
        **columns,
    }
    return Upload.objects.create(state=state, **columns)
