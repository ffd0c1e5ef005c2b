"""The URLs of that project."""

from django.urls import include, path

from dbqueue.compat.alliance_platform.storage.async_uploads.registry import (
    default_async_field_registry,
)
from tests.compat.alliance_app.models import archive

urlpatterns = [
    path("async-uploads/", include(default_async_field_registry.get_url_patterns())),
    path("archive/", include(archive.get_url_patterns())),
]
