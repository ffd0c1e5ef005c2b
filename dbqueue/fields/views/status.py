"""How an upload is, a small picture of it, and its end before it was used."""

import hashlib
from contextlib import suppress
from typing import Any

from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from dbqueue.exceptions import DbqueueError
from dbqueue.fields import receiving, tokens
from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.forms.values import as_json
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.views import answers
from dbqueue.uploads.display import exposure
from dbqueue.uploads.exceptions import UploadFieldUnknown
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.models import HOLDING_BYTES, UploadState
from dbqueue.uploads.targets import target_of_upload


@answers.answered
@require_safe
def status(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer how an upload is, to its owner."""
    response = answers.json(_told(tokens.find("status", token, request)))
    tag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={**answers.PRIVATE, "ETag": tag})
    response["ETag"] = tag
    return response


@csrf_exempt
@answers.answered
def cancel(request: HttpRequest, token: str) -> HttpResponseBase:
    """Delete a file that was sent and not used; the token permits it."""
    if request.method not in ("POST", "DELETE"):
        return HttpResponseNotAllowed(["POST", "DELETE"])
    with suppress(TokenExpired):  # it is gone, as was wished
        receiving.discard(tokens.find("cancel", token))
    return HttpResponse(status=204)


@answers.answered
@require_safe
def preview(request: HttpRequest, token: str) -> HttpResponseBase:
    """Answer a small picture of one that was sent, decoded in the sandbox."""
    row = tokens.find("preview", token, request)
    is_there = row.completed_at and row.upload.state in HOLDING_BYTES
    if not is_there or not row.upload.is_image:
        raise Http404("There is no picture.")
    try:
        return exposure.preview(row.upload)
    except DbqueueError as error:
        raise Http404(str(error)) from error


def _told(row: FieldUpload) -> dict[str, Any]:
    upload = row.upload
    if upload.state == UploadState.RECEIVING:
        state = "RECEIVED" if row.completed_at else "RECEIVING"
        size = upload.size if row.is_size_known or row.completed_at else None
        return {**_COMMON, **as_json(row), "state": state, "size": size} | {
            "received": row.received
        }
    handle = UploadHandle(upload)
    handle.refresh()
    error = handle.error
    return {
        **_COMMON,
        "name": upload.filename,
        "state": handle.state,
        "received": row.received,
        "size": upload.size,
        "progress": handle.progress,
        "error": error._asdict() if error else None,
        "url": _url(row) if handle.state == UploadState.DONE else None,
    }


_COMMON: dict[str, Any] = {"progress": 0, "error": None, "url": None}


def _url(row: FieldUpload) -> str | None:
    """Return the address of the file that a field shows now."""
    try:
        target = target_of_upload(row.upload)
    except UploadFieldUnknown:
        return None
    instance: models.Model | None = target.instance()
    file = getattr(instance, target.field.attname) if instance else None
    return str(file.url) if file else None
