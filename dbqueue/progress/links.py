"""The addresses of a job's progress, and what is answered there."""

import hashlib
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, JsonResponse
from django.urls import NoReverseMatch, reverse

from dbqueue.backend import backend_of
from dbqueue.progress import wording
from dbqueue.progress.seeing import looks, tokens
from dbqueue.progress.seeing.access import Seen
from dbqueue.tasks.results import JobResult

NAMESPACE = "dbqueue_progress"
# The key of a job is as good as a password: it is not sent to other sites.
PRIVATE = {"Cache-Control": "private, no-store", "Referrer-Policy": "same-origin"}


def address(name: str, *args: str) -> str:
    """Return the path of a view. Raises ImproperlyConfigured if it is in no URLs."""
    try:
        return reverse(f"{NAMESPACE}:{name}", args=args)
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            "The pages of a job's progress have no address. Add to the URLs: "
            'path("jobs/", include("dbqueue.progress.urls"))'
        ) from error


def status_of(seen: Seen) -> dict[str, Any]:
    """Return the status of a job as JSON has it, with the addresses that it may use."""
    snapshot, scopes = seen.snapshot, seen.ticket.scopes
    may_cancel = "cancel" in scopes and not snapshot.is_finished
    files = [
        {
            "name": file.name,
            "url": address("file", seen.key, file.name),
            "size": file.size,
            "content_type": file.content_type,
            "expires_at": file.expires_at.isoformat(),
        }
        for file in (snapshot.files if "result" in scopes else ())
    ]
    return {
        **wording.told(snapshot),
        "files": files,
        "result_url": files[0]["url"] if files else None,
        "cancel_url": address("cancel", seen.key)
        if may_cancel and not snapshot.is_stopping
        else None,
    }


def status_response(seen: Seen, **how: Any) -> JsonResponse:
    """Return the status as the answer to a request."""
    status = status_of(seen)
    response = JsonResponse(status, headers=headers_of(status), **how)
    response["ETag"] = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    return response


def headers_of(status: dict[str, Any]) -> dict[str, str]:
    """Return the headers that go with a status."""
    pace = status["retry_after"]
    return {**PRIVATE, **({} if pace is None else {"Retry-After": str(pace)})}


def accepted(request: HttpRequest, result: JobResult, *scopes: str) -> JsonResponse:
    """Return 202 with the job's status, where to ask again, and when.

    `scopes` are those of the token in the address; see JobResult.public_token().
    """
    seen = seen_of(result, scopes)
    response = status_response(seen, status=202)
    response["Location"] = request.build_absolute_uri(address("status", seen.key))
    del response["ETag"]
    return response


def seen_of(result: JobResult, scopes: tuple[str, ...] = ()) -> Seen:
    """Return what whoever gets a token of the job now may see of it."""
    scopes = scopes or tokens.DEFAULT_SCOPES
    ticket = tokens.Ticket(UUID(result.id), result.backend, scopes)
    key, backend = tokens.sign(ticket), backend_of(result.backend)
    # It is not on record before a commit, and in some tests never.
    found = looks.look(backend.database, ticket.id) if backend.stores_jobs else None
    return Seen(key, ticket, backend.database, found or looks.known_of(result))
