"""<job-progress>: what its template shows of a job."""

from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.translation import gettext as _

from dbqueue.backend import our_backends
from dbqueue.progress import links
from dbqueue.progress.seeing import looks, tokens
from dbqueue.progress.seeing.access import Seen
from dbqueue.progress.seeing.looks import Snapshot
from dbqueue.progress.seeing.tokens import Ticket
from dbqueue.progress.views import calm
from dbqueue.tasks.results import JobResult

SCRIPT = "dbqueue/job-progress.js"
STYLES = "dbqueue/job-progress.css"


def seen(job: Any, scopes: tuple[str, ...]) -> Seen:
    """Return what a token with the scopes shows of a job.

    `job` is a JobResult, or the id of a job. Of one that cannot be looked at, by now or
    just now, it is what is known. Raises TypeError for anything else.
    """
    try:
        if isinstance(job, JobResult):
            return links.seen_of(job, scopes)
        return _of_id(UUID(str(job)), scopes)
    except ValueError:
        raise TypeError(
            f"{job!r:.200} is neither the result of a job nor the id of one."
        ) from None


def context(
    seen: Seen,
    *,
    request: HttpRequest | None,
    label: str = "",
    redirect: str = "",
    reload: bool = False,
    **attributes: Any,
) -> dict[str, Any]:
    """Return what the templates of the element need."""
    status = links.status_of(seen)
    progress = status["progress"] or {}
    given = {"redirect": redirect or None, "reload": reload or None, **attributes}
    streams = isinstance(request, ASGIRequest) and not status["finished"]
    return {
        "job": status,
        "percent": progress.get("percent"),
        "message": "" if status["finished"] else progress.get("message", ""),
        "left": progress.get("left", ""),
        "label": label or _("Progress"),
        "attributes": flatatt(given),
        "status_url": links.address("status", seen.key),
        "events_url": links.address("events", seen.key) if streams else "",
        "page_url": links.address("page", seen.key),
        "bar_url": links.address("bar", seen.key),
        "away": calm.told()["text"],
        "next": _page_of(request) if request else "",
        "request": request,
        "script": SCRIPT,
        "styles": STYLES,
    }


def _page_of(request: HttpRequest) -> str:
    return request.headers.get("HX-Current-URL") or request.get_full_path()


def _of_id(id: UUID, scopes: tuple[str, ...]) -> Seen:
    scopes = scopes or tokens.DEFAULT_SCOPES
    backends = our_backends()
    for database in {known.database: None for known in backends.values()}:
        row = looks.rows(database, [id]).get(id)
        if row is not None:
            ticket = Ticket(id, row.backend, scopes)
            snapshot = looks.look(database, id) or Snapshot(state="")
            return Seen(tokens.sign(ticket), ticket, database, snapshot)
    alias, known = next(iter(backends.items()))
    ticket = Ticket(id, alias, scopes)
    return Seen(tokens.sign(ticket), ticket, known.database, Snapshot(state="GONE"))
