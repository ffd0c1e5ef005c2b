"""Tokens: signed texts, each for one upload, one purpose and a time."""

import time
from typing import Any, NamedTuple
from uuid import UUID

from django.core import signing
from django.db.models import Q
from django.http import HttpRequest

from dbqueue import dialects
from dbqueue.fields import conf, owners
from dbqueue.fields.exceptions import TokenExpired, TokenInvalid
from dbqueue.fields.models import FieldUpload
from dbqueue.uploads import work
from dbqueue.uploads.models import UploadState

PURPOSES = ("upload", "attach", "status", "cancel", "preview", "tus", "complete")
_NOT_YOURS = "This upload is not known here. Choose the file again."
_OVER = "This upload has expired. Choose the file again."


class Ticket(NamedTuple):
    """What somebody may do one thing with: an upload."""

    id: UUID


def sign(purpose: str, row: FieldUpload, seconds: float | None = None) -> str:
    """Return the token of an upload for one of PURPOSES.

    It is valid for TOKEN_AGE, where nothing else is said.
    """
    age = conf.current().token_age if seconds is None else seconds
    until = int(time.time() + age)
    return _signer(purpose).sign_object([row.pk.hex, until])


def read(purpose: str, token: str) -> Ticket:
    """Return what a token is for. Raises TokenInvalid and TokenExpired."""
    id, until = _unsigned(purpose, token)
    if time.time() >= until:
        raise TokenExpired(_OVER)
    return Ticket(UUID(id))


def find(purpose: str, token: str, request: HttpRequest | None = None) -> FieldUpload:
    """Return the row of the upload that a token is for.

    With a request, it must come from the upload's owner. Raises TokenInvalid, and
    TokenExpired also for an upload that is no longer there.
    """
    row = row_of(read(purpose, token).id)
    if row is None:
        raise TokenExpired(_OVER)
    if request is not None and not owners.owns(request, row.upload.owner_id):
        raise TokenInvalid(_NOT_YOURS)
    return row


def row_of(id: UUID) -> FieldUpload | None:
    """Return the row of an upload, unless its time is over."""
    database = work.database()
    rows = FieldUpload.objects.using(database).select_related("upload")
    waits = Q(upload__state=UploadState.RECEIVING)
    over = waits & Q(upload__expires_at__lte=dialects.of(database).clock())
    return rows.filter(~over, pk=id).first()


def is_signed(purpose: str, token: str) -> bool:
    """Tell whether a token is one of ours, valid still or not."""
    try:
        _unsigned(purpose, token)
    except TokenInvalid:
        return False
    return True


def sign_name(name: str, field_id: str, seconds: float | None = None) -> str:
    """Return the token by which anybody may download an object of a storage.

    It is valid for URL_AGE seconds, where nothing else is said.
    """
    age = conf.current().url_age if seconds is None else seconds
    until = int(time.time() + age)
    return _signer("download").sign_object([name, field_id, until])


def read_name(token: str) -> tuple[str, str]:
    """Return the object's name and the field's id. Raises as read() does."""
    name, field_id, until = _unsigned("download", token)
    if time.time() >= until:
        raise TokenExpired(_OVER)
    return name, field_id


def _signer(purpose: str) -> signing.Signer:
    # One salt a purpose: what one may be shown must not be written with.
    return signing.Signer(salt=f"dbqueue.fields.{purpose}")


def _unsigned(purpose: str, token: str) -> Any:
    try:
        return _signer(purpose).unsign_object(token)
    except signing.BadSignature:
        raise TokenInvalid(_NOT_YOURS) from None
