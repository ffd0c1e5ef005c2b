"""Tokens: signed texts by which anybody may ask for one job, for a time."""

import time
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.core import signing

from dbqueue.progress import conf

SCOPES = ("status", "result", "cancel")
DEFAULT_SCOPES = ("status", "result")
_SALT = "dbqueue.progress"


class Ticket(NamedTuple):
    """What somebody may ask for: one job, and what of it."""

    id: UUID
    backend: str  # an alias in TASKS
    scopes: tuple[str, ...]


def sign(ticket: Ticket, max_age: float | timedelta | None = None) -> str:
    """Return the token of a ticket, valid for `max_age` seconds; default TOKEN_AGE.

    Raises ValueError for an unknown scope, and for a time that is not above 0.
    """
    scopes = _checked(ticket.scopes)
    if isinstance(max_age, timedelta):
        max_age = max_age.total_seconds()
    seconds = conf.current().token_age if max_age is None else max_age
    if not seconds > 0:
        raise ValueError(f"max_age={max_age!r}: a token is valid for more than 0 s.")
    letters = "".join(scope[0] for scope in scopes)
    until = int(time.time() + seconds)
    parts = [ticket.id.hex, ticket.backend, letters, until]
    return signing.Signer(salt=_SALT).sign_object(parts)


def read(token: str) -> Ticket | None:
    """Return the ticket of a token; None if it is not one, or is valid no longer."""
    try:
        parts = signing.Signer(salt=_SALT).unsign_object(token)
    except signing.BadSignature:
        return None
    id, backend, letters, until = parts
    if time.time() >= until:
        return None
    scopes = tuple(scope for scope in SCOPES if scope[0] in letters)
    return Ticket(UUID(id), backend, scopes)


def _checked(scopes: Iterable[str]) -> tuple[str, ...]:
    given = tuple(scopes) or DEFAULT_SCOPES
    for scope in given:
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is no scope of a token; there are {SCOPES}.")
    return given
