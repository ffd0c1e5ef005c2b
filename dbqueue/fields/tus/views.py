"""The two addresses of tus: where an upload is created, and where it goes on."""

from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from dbqueue import dialects
from dbqueue.fields import links, places, receiving, tokens
from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.forms.values import key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.receiving import Receiver
from dbqueue.fields.registry import field_of
from dbqueue.fields.tus import bodies, protocol
from dbqueue.fields.tus.protocol import Checksum, Problem
from dbqueue.fields.views import answers, issue
from dbqueue.fields.views.answers import View
from dbqueue.uploads.exceptions import UploadEmpty, UploadError
from dbqueue.uploads.models import UploadState

# What the metadata of common clients call the parameters of an ordinary upload.
_NAMES = {
    "field_id": ("fieldId", "field_id"),
    "filename": ("filename", "name"),
    "content_type": ("contentType", "content_type", "filetype", "type"),
    "instance_id": ("instanceId", "instance_id"),
}
_GONE = "There is no such upload any more. Begin it again."


def _speaks_tus(view: View) -> View:
    """Have a view answer in the protocol.

    Its requests carry no token against forgery: pages of other sites cannot send the
    header Tus-Resumable, without which nothing is done.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            if request.method != "OPTIONS":
                protocol.check_version(request.headers)
            response = view(request, *args, **kwargs)
        except Problem as problem:
            response = answers.json({"message": str(problem)}, problem.status)
            for name, value in problem.headers.items():
                response[name] = value
        except UploadError as error:
            response = answers.problem(error)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            bodies.read_the_rest(request)
        response["Tus-Resumable"] = protocol.VERSION
        return response

    return csrf_exempt(answers.answered(inner))


@_speaks_tus
def create(request: HttpRequest) -> HttpResponseBase:
    """Begin an upload, by POST; tell what is understood here, by OPTIONS."""
    if request.method == "OPTIONS":
        return _options()
    if request.method != "POST":
        return _not_allowed("OPTIONS, POST")
    size = protocol.number(request.headers, "Upload-Length")
    parameters = _parameters(request)
    if not size:
        name = parameters.get("filename", "")
        raise UploadEmpty(f"{name!r} is empty. Choose another file.")
    asked = {**parameters, "size": size}
    field = field_of(parameters.get("field_id", ""))
    if field is not None and not places.takes_tus(field):
        raise Problem("Files for this field go to its storage, and not by tus.")
    row = issue.begin(request, asked, via="tus")
    with receiving.begun(row):
        places.begin_parts_here(row)
    if request.headers.get("Content-Type") == protocol.CONTENT_TYPE:
        _receive(request, row, 0, protocol.checksum(request.headers))
    response = _told(row, HTTPStatus.CREATED)
    response["Location"] = request.build_absolute_uri(links.signed("tus", row))
    return response


@_speaks_tus
def upload(request: HttpRequest, token: str) -> HttpResponseBase:
    """Tell how far an upload is by HEAD, go on by PATCH, or give it up by DELETE."""
    method = request.method
    if method == "POST":  # for who is behind a proxy that knows no other
        method = request.headers.get("X-HTTP-Method-Override", "POST").upper()
    if method == "OPTIONS":
        return _options()
    if method not in ("HEAD", "PATCH", "DELETE"):
        return _not_allowed("OPTIONS, HEAD, PATCH, DELETE")
    row = tokens.find("tus", token, request)
    _check_it_is_there(row)
    if method == "DELETE":
        receiving.discard(row)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    if method == "PATCH":
        protocol.check_content_type(request.headers)
        offset = protocol.number(request.headers, "Upload-Offset")
        _receive(request, row, offset, protocol.checksum(request.headers))
        return _told(row, HTTPStatus.NO_CONTENT)
    response = _told(row, HTTPStatus.OK)
    response["Upload-Length"] = str(row.upload.size)
    return response


def _receive(
    request: HttpRequest, row: FieldUpload, offset: int, checksum: Checksum | None
) -> None:
    """Add the body to an upload, and have it looked at if it is all there."""
    if offset + bodies.length(request) > row.upload.size:
        raise Problem(
            f"The upload has {row.upload.size} bytes and not more.", status=413
        )
    try:
        with bodies.checked(request, checksum) as pieces, Receiver(row) as receiver:
            receiver.resume(offset)
            for data in pieces:
                receiver.write(data)
        if row.received == row.upload.size:
            receiving.finish(row)
    except TokenExpired:
        # Its storage has lost it. Else HEAD would go on to tell that it may go on.
        receiving.discard(row)
        raise


def _check_it_is_there(row: FieldUpload) -> None:
    """Raise TokenExpired for what is cancelled or too old, and may not go on."""
    upload = row.upload
    if upload.state == UploadState.RECEIVING:
        clock = dialects.of(upload.held_in).clock()
        if not upload.rows().filter(expires_at__gt=clock).exists():
            raise TokenExpired(_GONE)
    elif row.completed_at is None or upload.state == UploadState.CANCELLED:
        raise TokenExpired(_GONE)


def _parameters(request: HttpRequest) -> dict[str, str]:
    """Return what an ordinary upload is asked for with, out of Upload-Metadata."""
    given = protocol.metadata(request.headers)
    return {
        parameter: given[name]
        for parameter, names in _NAMES.items()
        for name in names
        if name in given
    }


def _told(row: FieldUpload, status: HTTPStatus) -> HttpResponse:
    response = HttpResponse(status=status)
    response["Upload-Offset"] = str(row.received)
    response["Upload-Key"] = key_of(row)  # ours: what a form names the file by
    if row.upload.expires_at is not None:
        response["Upload-Expires"] = http_date(row.upload.expires_at.timestamp())
    return response


def _options() -> HttpResponse:
    response = HttpResponse(status=HTTPStatus.NO_CONTENT)
    response["Tus-Version"] = protocol.VERSION
    response["Tus-Extension"] = protocol.EXTENSIONS
    response["Tus-Checksum-Algorithm"] = ",".join(protocol.ALGORITHMS)
    return response


def _not_allowed(methods: str) -> HttpResponse:
    return HttpResponse(
        status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": methods}
    )
