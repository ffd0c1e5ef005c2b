"""UploadFieldsMiddleware: tells forms and serializers who asks."""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest

from dbqueue.fields.owners import acting


class UploadFieldsMiddleware:
    """Makes the request known to upload fields while it is being answered."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._later(request)
        with acting(request):
            return self._get_response(request)

    async def _later(self, request: HttpRequest) -> Any:
        with acting(request):
            return await self._get_response(request)
