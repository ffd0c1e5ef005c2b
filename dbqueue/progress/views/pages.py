"""How far a job is: as JSON, as a page, as a piece of one for htmx; and pictures."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from dbqueue.progress import element, placeholders
from dbqueue.progress.links import PRIVATE, status_response
from dbqueue.progress.seeing.access import by_id, see
from dbqueue.progress.views import calm


@require_safe
@calm.calm(calm.json)
def status(request: HttpRequest, key: str) -> HttpResponse:
    """Answer with the status of a job; with 304 if it is that of If-None-Match."""
    fresh = status_response(see(request, key))
    etag = fresh["ETag"]
    response = get_conditional_response(request, etag=etag, response=fresh) or fresh
    # Of a 304, Django keeps some headers only.
    for name in {*PRIVATE, "Retry-After"} & {*fresh.headers}:
        response[name] = fresh[name]
    return _varied(response, key)


@require_safe
@calm.calm(calm.page)
def page(request: HttpRequest, key: str) -> HttpResponse:
    """Show a job on a page of its own, which without JavaScript loads itself again."""
    return _rendered(request, key, "dbqueue/progress/page.html")


@require_safe
@calm.calm(calm.page)
def bar(request: HttpRequest, key: str) -> HttpResponse:
    """Answer with the piece of a page that htmx puts in the place of the last one."""
    return _rendered(request, key, "dbqueue/progress/htmx.html")


@require_safe
@calm.calm(calm.page)
def picture(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with what {% pending_image %} shows by now."""
    shown = placeholders.shown_again(token)
    if shown is None:
        raise Http404("No such picture.")
    return _private(render(request, placeholders.TEMPLATE, shown))


def _rendered(request: HttpRequest, key: str, template: str) -> HttpResponse:
    shown = element.context(see(request, key), request=request)
    return _varied(_private(render(request, template, shown)), key)


def _private(response: HttpResponse) -> HttpResponse:
    for name, value in PRIVATE.items():
        response[name] = value
    return response


def _varied(response: HttpResponse, key: str) -> HttpResponse:
    if by_id(key):
        patch_vary_headers(response, ["Cookie"])
    return response
