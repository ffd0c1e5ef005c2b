"""The pages of that project."""

from alliance_platform.storage.async_uploads.registry import (
    default_async_field_registry,
)
from clinic.views import visit
from django.urls import include, path

urlpatterns = [
    path("files/", include(default_async_field_registry.get_url_patterns())),
    path("visits/", visit),
    path("visits/<int:pk>/", visit),
]
