"""The two views of a registry; they answer GET, too, as older pages ask by it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import View
from django.views.decorators.csrf import csrf_protect

from dbqueue.fields.views import answers, download, issue

__all__ = ["DownloadRedirectView", "GenerateUploadUrlView"]


class RegistryView(View):
    """A view that its registry knows as attached, for reverse()."""

    registry: Any = None  # the default one, once there is one
    attached_as = ""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view, attached to `registry`."""
        view: Any = answers.answered(csrf_protect(super().as_view(**initkwargs)))
        setattr(initkwargs.get("registry", cls.registry), cls.attached_as, view)
        return view


class GenerateUploadUrlView(RegistryView):
    """Begins an upload for a field.

    A GET request that a browser sends for a page of another site is refused.
    """

    attached_as = "attached_view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise PermissionDenied("Uploads are begun by pages of this site alone.")
        return issue.answer(request)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        return issue.answer(request)


class DownloadRedirectView(RegistryView):
    """Leads to the file of a field, if `perm_detail` lets it be seen."""

    attached_as = "attached_download_view"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return download.download(request)
