"""What the person who waits may do: have the job stopped."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST

from dbqueue import jobs
from dbqueue.progress.links import address, status_response
from dbqueue.progress.seeing.access import Seen, by_id, see
from dbqueue.progress.views import calm


# A token in the address is a secret that no other site has: cookies decide nothing.
@csrf_exempt
@require_POST
@calm.calm(calm.page)
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    """Cancel a job, and answer with its status, or with the page that asked."""
    guarded = csrf_protect(_cancel) if by_id(key) else _cancel
    response: HttpResponse = guarded(request, key)
    return response


def _cancel(request: HttpRequest, key: str) -> HttpResponse:
    seen = see(request, key, "cancel")
    user = getattr(request, "user", None)
    by = str(user.get_username()) if user is not None else ""
    jobs.cancel(seen.ticket.id, by=by, backend=seen.ticket.backend)
    kinds = ["application/json", "text/html"]
    if request.get_preferred_type(kinds) == "text/html":
        response: HttpResponse = HttpResponseRedirect(_back(request, seen))
        response.status_code = 303
    else:
        response = status_response(see(request, key, "cancel"))
    patch_vary_headers(response, ["Accept", "Cookie"])
    return response


def _back(request: HttpRequest, seen: Seen) -> str:
    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, {request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else address("page", seen.key)
