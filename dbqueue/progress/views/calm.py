"""What is answered while the database is away: a few calm words, and not a 500."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from dbqueue.progress.links import PRIVATE

View = Callable[..., HttpResponse]
V = TypeVar("V", bound=Callable[..., Any])

AWAY = (InterfaceError, OperationalError)
RETRY_AFTER = 5  # seconds


def calm(answer: Callable[[HttpRequest], HttpResponse]) -> Callable[[View], View]:
    """Have a view answer so, with 503, where it finds the database away."""

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                return view(request, *args, **kwargs)
            except AWAY:
                return answer(request)

        return outside_of_transactions(inner)

    return decorate


def outside_of_transactions(view: V) -> V:
    """Spare a view ATOMIC_REQUESTS: a transaction that cannot begin fails before it.

    And LoginRequiredMiddleware, which asks for the user, and would turn away whoever
    has a token.
    """
    for alias in connections:
        view = transaction.non_atomic_requests(alias)(view)
    view.login_required = False  # type: ignore[attr-defined]  # of a middleware
    return view


def told() -> dict[str, Any]:
    """Return what is told in place of a status."""
    text = _("We cannot look just now. Trying again …")
    return {
        "status": "unknown",
        "text": text,
        "finished": False,
        "retry_after": RETRY_AFTER,
    }


def json(request: HttpRequest) -> HttpResponse:
    return _unavailable(JsonResponse(told()))


def page(request: HttpRequest) -> HttpResponse:
    context = {"refresh": RETRY_AFTER, **told()}
    text = render_to_string("dbqueue/progress/away.html", context)
    return _unavailable(HttpResponse(text))


def _unavailable(response: HttpResponse) -> HttpResponse:
    response.status_code = 503
    for name, value in {**PRIVATE, "Retry-After": str(RETRY_AFTER)}.items():
        response[name] = value
    return response
