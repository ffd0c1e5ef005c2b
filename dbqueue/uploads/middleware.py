"""UploadLimitMiddleware: says why the body of a request was not taken in."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from dbqueue.uploads.handlers import BodyRefused, BodyTooLarge

TEMPLATE = "dbqueue/uploads/refused.html"
RETRY_AFTER = 60  # seconds


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
        return _answer(request, refusal)


def _answer(request: HttpRequest, refusal: BodyTooLarge | BodyRefused) -> HttpResponse:
    context: dict[str, Any] = {"status": refusal.status_code, "message": str(refusal)}
    answer = HttpResponse(
        render_to_string(TEMPLATE, context), status=refusal.status_code
    )
    if refusal.status_code == 503:
        answer["Retry-After"] = str(RETRY_AFTER)
    return answer
