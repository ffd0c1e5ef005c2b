"""AsyncFieldRegistry, with views of its own, as alliance-platform-storage has them."""

from typing import Any

from django.urls import include, path

from dbqueue.compat.alliance_platform.storage.async_uploads import views
from dbqueue.fields.links import NAMESPACE
from dbqueue.fields.registry import AsyncFieldRegistry as Registry

__all__ = ["AsyncFieldRegistry", "default_async_field_registry"]


class AsyncFieldRegistry(Registry):
    """Upload fields by their ids.

    attached_view, attached_download_view: its views, for reverse().
    """

    attached_view: Any = None
    attached_download_view: Any = None

    def get_url_patterns(self) -> list[Any]:
        """Return what include() takes: its views, and what uploads need besides."""
        space = NAMESPACE if self.name == "default" else f"{NAMESPACE}_{self.name}"
        issue = views.GenerateUploadUrlView.as_view(registry=self)
        download = views.DownloadRedirectView.as_view(registry=self)
        return [
            path("generate-upload-url/", issue),
            path("download-file/", download),
            path("", include("dbqueue.fields.urls", namespace=space)),
        ]


default_async_field_registry = AsyncFieldRegistry("default")
views.RegistryView.registry = default_async_field_registry
