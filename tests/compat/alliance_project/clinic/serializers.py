"""The JSON of a visit, by the recipe of the documentation."""

import alliance_platform.storage.async_uploads.models as async_file_fields
from alliance_platform.storage.async_uploads.rest_framework import (
    AsyncFileField,
    AsyncImageField,
)
from rest_framework.serializers import ModelSerializer

from clinic.models import Visit


class VisitSerializer(ModelSerializer):
    serializer_field_mapping = {
        **ModelSerializer.serializer_field_mapping,
        async_file_fields.AsyncFileField: AsyncFileField,
        async_file_fields.AsyncImageField: AsyncImageField,
    }

    class Meta:
        model = Visit
        fields = ("id", "title", "letter", "photo")
