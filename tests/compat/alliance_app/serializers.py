"""Serializers of that project, by the recipe of alliance-platform-storage's guide."""

from rest_framework.serializers import ModelSerializer

import dbqueue.compat.alliance_platform.storage.async_uploads.models as async_fields
from dbqueue.compat.alliance_platform.storage.async_uploads.rest_framework import (
    AsyncFileField,
    AsyncImageField,
)
from tests.compat.alliance_app.models import Practice, Report


class BaseModelSerializer(ModelSerializer):
    serializer_field_mapping = {
        **ModelSerializer.serializer_field_mapping,
        async_fields.AsyncFileField: AsyncFileField,
        async_fields.AsyncImageField: AsyncImageField,
    }


class ReportSerializer(BaseModelSerializer):
    class Meta:
        model = Report
        fields = ("id", "document", "scan")


class PracticeSerializer(BaseModelSerializer):
    reports = ReportSerializer(many=True)

    class Meta:
        model = Practice
        fields = ("name", "reports")

    def update(self, instance, validated_data):
        for given in validated_data["reports"]:
            instance.reports.create(**given)
        return instance
