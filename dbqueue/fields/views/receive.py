"""The bytes of a file, as the body of a request or in a form, and the end of them."""

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers
from django.http import Http404, HttpRequest, HttpResponseNotAllowed
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from dbqueue.fields import places, receiving, tokens
from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.forms.values import key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.receiving import Receiver
from dbqueue.fields.registry import field_of
from dbqueue.fields.views import answers
from dbqueue.uploads.chunks import CHUNK_SIZE
from dbqueue.uploads.exceptions import UploadError, UploadIncomplete
from dbqueue.uploads.models import UploadState

_ONE = 65_536  # bytes read at once
_SHORT = "The connection broke off. Send the file again."


@csrf_exempt
@answers.answered
def upload(request: HttpRequest, token: str) -> HttpResponseBase:
    """Take a file whole. The token is what permits it, not a cookie."""
    if request.method not in ("POST", "PUT"):
        return HttpResponseNotAllowed(["POST", "PUT"])
    row = tokens.find("upload", token)
    multipart = request.content_type == "multipart/form-data"
    with Receiver(row) as receiver:
        receiver.restart()
        if request.method == "POST" and multipart:
            _read_form(request, receiver)
        else:
            _read_body(request, receiver)
    return received(row, receiver.sha256)


@csrf_exempt
@answers.answered
def complete(request: HttpRequest, token: str) -> HttpResponseBase:
    """Look at a file that a browser has sent to a storage.

    By GET, tell which of its parts are still to be sent, and where.
    """
    if request.method not in ("GET", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    row = tokens.find("complete", token)
    if row.completed_at is None and row.upload.state != UploadState.RECEIVING:
        raise TokenExpired("This upload was given up. Choose the file again.")
    storage = places.storage_of(field_of(row.field_id))
    parts = row.parts if storage is not None and row.completed_at is None else None
    if request.method == "GET":
        if storage is None or not parts:
            raise Http404("This file has no parts that are still to be sent.")
        return answers.json(places.parts_of(row, storage))
    if storage is not None and parts:
        storage.complete_parts(str(row.upload.held_as), parts, row.upload.size)
    return received(row)


def received(row: FieldUpload, sha256: str | None = None) -> HttpResponseBase:
    """Return the answer for a file whose bytes are all there."""
    receiving.finish(row, sha256)
    found = {"key": key_of(row), "name": row.upload.filename, "size": row.received}
    return answers.json({**found, "state": "RECEIVED"}, 201)


def _read_body(request: HttpRequest, receiver: Receiver) -> None:
    expected = request.META.get("CONTENT_LENGTH") or ""
    size = 0
    try:
        while data := request.read(_ONE):
            receiver.write(data)
            size += len(data)
    except OSError as error:  # Django's UnreadablePostError, too
        raise UploadIncomplete(_SHORT) from error
    if expected.isdecimal() and size != int(expected):
        raise UploadIncomplete(_SHORT)


def _read_form(request: HttpRequest, receiver: Receiver) -> None:
    handler = _Handler(request, receiver)
    request.upload_handlers = [handler]
    try:
        request.FILES  # noqa: B018  read to be parsed
    except (OSError, MultiPartParserError) as error:
        raise UploadIncomplete(_SHORT) from error
    if handler.refusal:
        raise handler.refusal
    if handler.is_short:
        raise UploadIncomplete(_SHORT)
    if not handler.is_whole:
        raise UploadIncomplete("There is no whole file in this request.")


class _Handler(FileUploadHandler):
    """Hands on the first file of a form as it arrives."""

    chunk_size = CHUNK_SIZE

    def __init__(self, request: HttpRequest, receiver: Receiver) -> None:
        super().__init__(request)
        self._receiver = receiver
        self._is_first = True
        self._current = False
        self._parsing = False
        self.is_short = self.is_whole = False
        self.refusal: UploadError | None = None

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,
        content_length: int,
        boundary: Any,
        encoding: str | None = None,
    ) -> Any:
        if self._parsing:
            return None
        self._parsing = True
        # Django's parser takes a body that breaks off for one that ends.
        body = _Counting(input_data)
        source: Any = body
        parser = MultiPartParser(META, source, [self], encoding or "utf-8")
        parsed = parser.parse()
        self.is_short = body.size < content_length
        return parsed

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._current, self._is_first = self._is_first, False
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        # What comes after a refusal is read and dropped: a browser that still sends
        # when the connection closes does not see the answer.
        if not self._current or self.refusal:
            return
        try:
            self._receiver.write(raw_data)
        except UploadError as error:
            self.refusal = error

    def file_complete(self, file_size: int) -> Any:
        self.is_whole = self.is_whole or self._current
        return None


class _Counting:
    """A stream that counts what was read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.size = 0

    def read(self, *size: int) -> bytes:
        data: bytes = self._stream.read(*size)
        self.size += len(data)
        return data
