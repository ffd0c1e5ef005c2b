"""Upload fields for Django REST framework: fields of serializers, and a view."""

from dbqueue.exceptions import MissingExtra

try:
    import rest_framework  # noqa: F401  only to see whether it is there
except ImportError as error:
    raise MissingExtra(
        "dbqueue.fields.drf needs Django REST framework, which is not installed. "
        "Run: pip install 'dbqueue-django[drf]'"
    ) from error

from dbqueue.fields.drf.serializers import (
    SERIALIZER_FIELDS,
    AsyncFileField,
    AsyncImageField,
)
from dbqueue.fields.drf.views import UploadUrlView

__all__ = ["SERIALIZER_FIELDS", "AsyncFileField", "AsyncImageField", "UploadUrlView"]
