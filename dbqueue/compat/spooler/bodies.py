"""The bodies of calls, written in pieces in the commit of their job."""

from typing import Any
from uuid import UUID

from django.apps import apps

from dbqueue.exceptions import InvalidPayload

PIECE = 256 * 1024  # bytes in a row


class Body(str):
    """A body that is text, as uWSGI's decorators decode it; its bytes equal it, too."""

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bytes | bytearray):
            return self.encode() == other
        return str.__eq__(self, other)

    __hash__ = str.__hash__

    def __bytes__(self) -> bytes:
        return self.encode()

    def decode(self, *how: Any) -> str:
        return str(self)


def as_told(body: bytes) -> Any:
    """Return a body as functions get it: as text, if it is UTF-8; else as bytes."""
    try:
        return Body(body.decode())
    except UnicodeDecodeError:  # uWSGI fails here, again and again
        return body


def write(alias: str, job_id: UUID, body: bytes) -> None:
    """Write a body. To be called in the transaction that writes the job."""
    view = memoryview(body)
    rows = _rows(alias)
    for position, start in enumerate(range(0, len(body) or 1, PIECE)):
        piece = bytes(view[start : start + PIECE])
        rows.create(job_id=job_id, position=position, data=piece)


def read(alias: str, job_id: Any) -> bytes:
    """Return the body of a job. Raises InvalidPayload if it was deleted."""
    found = _rows(alias).filter(job_id=job_id).order_by("position")
    pieces = [bytes(data) for data in found.values_list("data", flat=True)]
    if not pieces:
        raise InvalidPayload(
            f"The body of job {job_id} was deleted, as the job had been successful. "
            "Spool it again."
        )
    return b"".join(pieces)


def _rows(alias: str) -> Any:
    return apps.get_model("dbqueue", "SpoolBody").objects.using(alias)
