"""BindRequest: jobs know who enqueued them, and in which request."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from functools import partial

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from dbqueue.ids import uuid7
from dbqueue.tasks.context import bind_context

Response = HttpResponseBase | Awaitable[HttpResponseBase]

# What a proxy or a client may have called the request.
HEADER = "X-Request-ID"
_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)


class BindRequest:
    """Adds `request_id`, `request` and `user_id` to the context of a request's jobs.

    `request_id` is that of the header X-Request-ID, if there is a sound one, else a new
    one. `request` is the method and the route, such as "POST orders/<int:pk>/", and not
    the path, which may hold secrets. `user_id` is the primary key of the user, as text;
    nobody is asked for it before a job is enqueued.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        if iscoroutinefunction(self._get_response):
            return self._answer(request)
        with _bound(request):
            return self._get_response(request)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with _bound(request):
            response = self._get_response(request)
            assert isinstance(response, Awaitable)
            return await response


def _bound(request: HttpRequest) -> AbstractContextManager[None]:
    given = request.headers.get(HEADER, "")
    return bind_context(
        request_id=given if _ID.fullmatch(given) else uuid7().hex,
        request=partial(_route, request),
        user_id=partial(_user, request),
    )


def _route(request: HttpRequest) -> str:
    match = request.resolver_match
    return f"{request.method} {match.route if match else ''}".rstrip()


def _user(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)  # without AuthenticationMiddleware, none
    return str(user.pk) if user is not None and user.is_authenticated else None
