"""Whose an upload is: the user's, or that of an anonymous session."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from dbqueue.fields.exceptions import NotPermitted

# Survives a login, which gives the session another key.
_SESSION_KEY = "dbqueue_uploads"
_request: ContextVar[HttpRequest | None] = ContextVar("dbqueue_request", default=None)


@contextmanager
def acting(request: HttpRequest) -> Iterator[None]:
    """Have forms, serializers and models take uploads as those of a request's user.

    The middleware does it for each request; it is for code that runs outside of one.
    """
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def current_request() -> HttpRequest | None:
    """Return the request that is being answered, None outside of one."""
    return _request.get()


def owner_of(request: HttpRequest) -> str:
    """Return what an upload that is begun now belongs to.

    Raises NotPermitted for an anonymous request that has no session.
    """
    if (user := _user(request)) is not None:
        return user
    session: Any = getattr(request, "session", None)
    if session is None:
        raise NotPermitted(
            "Nobody is logged in, and there is no session to know an upload by again."
        )
    if _SESSION_KEY not in session:
        session[_SESSION_KEY] = secrets.token_urlsafe(16)
    return f"session:{session[_SESSION_KEY]}"


def owns(request: HttpRequest, owner: str) -> bool:
    """Tell whether an upload of the owner is that of who sends the request."""
    session: Any = getattr(request, "session", None) or {}
    known = (_user(request), f"session:{session.get(_SESSION_KEY, '')}")
    return any(
        name is not None and constant_time_compare(name, owner) for name in known
    )


def _user(request: HttpRequest) -> str | None:
    user: Any = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None
