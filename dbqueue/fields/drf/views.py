"""The view that begins an upload for who is known by a token of an API."""

from collections.abc import Mapping
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from dbqueue.fields.views import answers, issue


class UploadUrlView(APIView):  # type: ignore[misc]  # untyped
    """As generate-upload-url/, with the authentication and throttles of the view.

    What is sent then belongs to the user who is authenticated here.
    """

    def post(self, request: Request) -> HttpResponseBase:
        """Begin an upload; see the guide for what is asked and answered."""
        given = request.data if isinstance(request.data, Mapping) else {}
        return _answer(request._request, given)


@answers.answered
def _answer(request: Any, given: Any) -> HttpResponseBase:
    return issue.answer(request, given=given)
