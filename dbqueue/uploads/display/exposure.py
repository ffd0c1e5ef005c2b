"""The bytes of uploads for an operator: a file to save, or a small picture."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from dbqueue.imaging import sandbox
from dbqueue.uploads.chunks import copy_out, pieces
from dbqueue.uploads.exceptions import as_upload_errors
from dbqueue.uploads.models import Upload

# Untrusted content is neither run by a browser nor kept by a cache.
SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}


def download(request: HttpRequest, upload: Upload) -> StreamingHttpResponse:
    """Return the bytes as a file to save, never to display."""
    # Over ASGI, Django would collect all that a plain iterator yields.
    over_asgi = isinstance(request, ASGIRequest)
    response = StreamingHttpResponse(
        in_a_thread(pieces(upload)) if over_asgi else pieces(upload),
        content_type="application/octet-stream",
        headers=SAFE,
    )
    name = content_disposition_header(True, upload.filename)
    response["Content-Disposition"] = name
    response["Content-Length"] = str(upload.size)
    return response


def preview(upload: Upload) -> HttpResponse:
    """Return a small picture, decoded and re-encoded in the sandbox.

    Raises DbqueueError if that cannot be done.
    """
    with (
        as_upload_errors(),
        TemporaryFile() as source,
        TemporaryDirectory(prefix="dbqueue-") as folder,
    ):
        copy_out(upload, source)
        picture = sandbox.thumbnail(source.fileno(), Path(folder))
        content = picture.path.read_bytes()
    headers = SAFE | {"Content-Disposition": 'inline; filename="preview"'}
    return HttpResponse(content, content_type=picture.content_type, headers=headers)


async def in_a_thread(found: Iterator[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(partial(next, found, b""))
    while piece := await read():
        yield piece
