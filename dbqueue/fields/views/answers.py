"""Answers in JSON: what an error of an upload is to a browser."""

from collections.abc import Callable
from functools import reduce, wraps
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

from dbqueue.uploads.exceptions import (
    ContentRejected,
    UploadError,
    UploadIncomplete,
    UploadQuotaExceeded,
    UploadTooLarge,
    UploadUsed,
)

View = Callable[..., HttpResponseBase]
# Addresses hold tokens: they are not sent to other sites.
PRIVATE = {"Cache-Control": "private, no-store", "Referrer-Policy": "same-origin"}
_STATUSES: dict[type[UploadError], int] = {
    UploadTooLarge: 413,
    UploadQuotaExceeded: 429,
    UploadUsed: 409,
    UploadIncomplete: 409,
}


def answered(view: View) -> View:
    """Answer in JSON what a view raises of uploads: {"code", "message"}."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except UploadError as error:
            return problem(error)

    return never_cache(_committing(wrapped))


def problem(error: UploadError) -> JsonResponse:
    """Return the answer for an error."""
    code = error.code if isinstance(error, ContentRejected) else type(error).__name__
    message = error.message if isinstance(error, ContentRejected) else str(error)
    return json({"code": code, "message": message}, status_of(error))


def json(content: Any, status: int = 200) -> JsonResponse:
    """Return JSON that no one else may see or keep."""
    return JsonResponse(content, status=status, headers=PRIVATE)


def status_of(error: UploadError) -> int:
    """Return the HTTP status for an error."""
    own: int | None = getattr(error, "status", None)
    if own is not None:
        return own
    kinds = [status for kind, status in _STATUSES.items() if isinstance(error, kind)]
    return kinds[0] if kinds else 400


def _committing(view: View) -> View:
    """Have a view commit piece by piece, whatever ATOMIC_REQUESTS says."""
    outside = (transaction.non_atomic_requests(using=one) for one in settings.DATABASES)
    return reduce(lambda found, apart: apart(found), outside, view)
