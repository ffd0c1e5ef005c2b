"""The bodies of requests, read piece by piece."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile

from django.http import HttpRequest, UnreadablePostError

from dbqueue.conf import MB
from dbqueue.fields.tus.protocol import Checksum, Problem
from dbqueue.uploads.chunks import CHUNK_SIZE

LONGEST_REST = 100 * MB  # bytes of a refused body that are still read


def length(request: HttpRequest) -> int:
    """Return the bytes that the body is said to have."""
    return int(request.META.get("CONTENT_LENGTH") or 0)


def pieces(request: HttpRequest) -> Iterator[bytes]:
    """Yield the body as it arrives; if the connection breaks, only what came."""
    with suppress(UnreadablePostError):
        while data := request.read(CHUNK_SIZE):
            yield data


@contextmanager
def checked(
    request: HttpRequest, checksum: Checksum | None
) -> Iterator[Iterator[bytes]]:
    """Give the pieces of the body, where it has to be checked only once it has been.

    Raises a Problem, 460, for other bytes than were sent: none of them is kept.
    """
    if checksum is None:
        yield pieces(request)
        return
    with TemporaryFile() as file:
        received = 0
        for data in pieces(request):
            checksum.update(data)
            received += file.write(data)
        if received != length(request):
            raise Problem("The connection broke before the checksum was reached.")
        checksum.check()
        file.seek(0)
        yield iter(lambda: file.read(CHUNK_SIZE), b"")


def read_the_rest(request: HttpRequest) -> None:
    """Read what is refused: a client that is still sending would miss the answer."""
    if length(request) <= LONGEST_REST:
        for _ in pieces(request):
            pass
