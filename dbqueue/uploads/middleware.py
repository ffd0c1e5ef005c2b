"""UploadLimitMiddleware: says why the body of a request was not accepted."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

TEMPLATE = "dbqueue/uploads/refused.html"
RETRY_AFTER = "60"  # seconds


class UploadLimitMiddleware(MiddlewareMixin):
    """Answers 413 or 503 for what BlobUploadHandler refused, where Django answers 400.

    The body may be read by any middleware, and no middleware ever sees the exception of
    another: the handler leaves it on the request.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        refusal = getattr(request, "upload_refusal", None)
        if refusal is None or response.status_code != 400:
            return response
        status: int = refusal.status_code
        page = render_to_string(TEMPLATE, {"status": status, "message": str(refusal)})
        headers = {"Retry-After": RETRY_AFTER} if status == 503 else None
        return HttpResponse(page, status=status, headers=headers)
