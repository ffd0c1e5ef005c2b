"""Who may ask for a job: who has a token of it, or who owns it."""

from typing import Any, NamedTuple
from uuid import UUID

from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string

from dbqueue.backend import our_backends
from dbqueue.progress import conf
from dbqueue.progress.seeing import looks, tokens
from dbqueue.progress.seeing.looks import Snapshot
from dbqueue.progress.seeing.tokens import Ticket


class Seen(NamedTuple):
    """A job that somebody may ask for, and how far it is."""

    key: str  # the token or the id by which it was asked for
    ticket: Ticket
    database: str
    snapshot: Snapshot


def see(request: HttpRequest, key: str, scope: str = "status") -> Seen:
    """Return what the key lets this request see.

    Raises Http404 for what is unknown, is not for this request, or may not be done.
    """
    id = _as_id(key)
    found = _by_token(key) if id is None else _by_id(request, id)
    if found is None or scope not in found[0].scopes:
        raise Http404("No such job.")
    ticket, database = found
    snapshot = looks.look(database, ticket.id)
    if snapshot is None:
        raise Http404("No such job.")
    return Seen(key, ticket, database, snapshot)


def by_id(key: str) -> bool:
    """Tell whether the key is the id of a job, and no token."""
    return _as_id(key) is not None


def owned_by_user(request: HttpRequest, job: Any) -> bool:
    """Tell whether the user of the request enqueued the job, under BindRequest.

    For OWNS: what is not enqueued in a request, or by nobody who is logged in, is
    nobody's.
    """
    user, context = getattr(request, "user", None), job.context
    if user is None or not user.is_authenticated or not isinstance(context, dict):
        return False
    return bool(context.get("user_id") == str(user.pk))


def _by_token(token: str) -> tuple[Ticket, str] | None:
    ticket = tokens.read(token)
    backend = our_backends().get(ticket.backend) if ticket else None
    return (ticket, backend.database) if ticket and backend else None


def _by_id(request: HttpRequest, id: UUID) -> tuple[Ticket, str] | None:
    owns = conf.current().owns
    if owns is None:
        return None
    for database in {backend.database: None for backend in our_backends().values()}:
        job = looks.rows(database, [id]).get(id)
        if job is not None:
            allowed = import_string(owns)(request, job)
            ticket = Ticket(id, job.backend, tokens.SCOPES)
            return (ticket, database) if allowed else None
    return None


def _as_id(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None
