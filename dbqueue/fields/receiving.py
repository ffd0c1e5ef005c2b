"""Bytes of an upload on their way in: whole, or in parts that can be resumed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from uuid import uuid4

from django.db import transaction

from dbqueue import dialects
from dbqueue.fields import restrictions
from dbqueue.fields.exceptions import OffsetConflict, TokenExpired, TokenInvalid
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.places import Place, has_come_here, place_of, storage_of
from dbqueue.fields.registry import field_of
from dbqueue.imaging.policy import ImagePolicy
from dbqueue.imaging.signatures import HEAD, check_file, check_image_head
from dbqueue.uploads import endings
from dbqueue.uploads.chunks import CHUNK_SIZE, pieces, too_large
from dbqueue.uploads.exceptions import (
    UploadEmpty,
    UploadError,
    UploadIncomplete,
    UploadTooLarge,
    UploadUsed,
    as_upload_errors,
)
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.sweep.cleanup import Sweep

_TAKEN_OVER = "The upload went on from another place. Ask where, and go on from there."


class Receiver:
    """Takes the bytes of one upload; the newest of two that try at once wins.

    Begin with restart() or resume(). What was written is counted in the commit that
    wrote it, so an upload can go on from `row.received` after any crash.
    """

    def __init__(self, row: FieldUpload) -> None:
        self.row = row
        self._place: Place = place_of(row)
        self._database = row.upload.held_in
        self._writer = uuid4()
        self._buffer = bytearray()
        self._begins_at = 0  # the offset of the buffer
        self._digest: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if not isinstance(error, OffsetConflict | TokenExpired | UploadTooLarge):
            self.flush()

    @property
    def sha256(self) -> str | None:
        """The digest, of an upload that came as a whole."""
        return self._digest.hexdigest() if self._digest else None

    def restart(self) -> None:
        """Begin at 0; what came before is dropped. Raises UploadUsed when complete."""
        with transaction.atomic(using=self._database):
            self._take_over({}, UploadUsed("This file has been received already."))
            self._rows().update(received=0)
            self._place.restart(self.row.upload)
        self.row.received = self._begins_at = 0
        self._digest = hashlib.sha256()

    def resume(self, offset: int) -> None:
        """Go on at an offset. Raises OffsetConflict unless it is the next."""
        error = OffsetConflict(f"The upload does not go on at byte {offset}.")
        self._take_over({"received": offset}, error)
        self.row.received = offset
        self._place.hand_on(self.row)  # what a process that died could not
        self._buffer += self._place.left(self.row.upload, offset)
        self._begins_at = offset - len(self._buffer)

    def write(self, data: bytes) -> None:
        """Take some bytes.

        Raises UploadTooLarge, having discarded the upload, and OffsetConflict if
        another has taken over.
        """
        if self._begins_at + len(self._buffer) + len(data) > self._limit():
            discard(self.row)
            raise too_large(self._limit())
        if self._digest:
            self._digest.update(data)
        self._buffer += data
        while len(self._buffer) >= CHUNK_SIZE:
            self._write_piece(CHUNK_SIZE)

    def flush(self) -> None:
        """Write what is left in memory."""
        if self._begins_at + len(self._buffer) > self.row.received:
            self._write_piece(len(self._buffer), keep=True)

    def _limit(self) -> int:
        return self.row.upload.size

    def _write_piece(self, length: int, *, keep: bool = False) -> None:
        data = bytes(self._buffer[:length])
        end = self._begins_at + length
        with transaction.atomic(using=self._database):
            # First: it locks the row, and who has lost it writes nothing.
            ours = self._rows().filter(writer=self._writer, received=self.row.received)
            if not ours.update(received=end):
                raise OffsetConflict(_TAKEN_OVER)
            self._place.write(self.row.upload, self._begins_at, data)
        self.row.received = end
        if not keep:
            del self._buffer[:length]
            self._begins_at = end
            self._place.hand_on(self.row)

    def _take_over(self, expected: dict[str, Any], error: Exception) -> None:
        waiting = self._rows().filter(
            **expected,
            completed_at=None,
            upload__state=UploadState.RECEIVING,
            upload__expires_at__gt=dialects.of(self._database).clock(),
        )
        if not waiting.update(writer=self._writer):
            raise error

    def _rows(self) -> Any:
        return FieldUpload.objects.using(self._database).filter(pk=self.row.pk)


def has_all(row: FieldUpload) -> bool:
    """Tell whether nothing more is to come of an upload, as far as this is known here.

    A process may die after the last bytes and before it has looked at them.
    """
    if row.completed_at is not None:
        return True
    if not has_come_here(row):
        return True  # finish() asks the storage
    return row.is_size_known and row.received == row.upload.size


def finish(row: FieldUpload, sha256: str | None = None) -> None:
    """Look at an upload whose bytes are all there, and have it wait for its form.

    Does nothing for one that did before. Raises ContentRejected, UploadEmpty and
    UploadTooLarge, having discarded it, and UploadIncomplete.
    """
    if row.completed_at is not None:
        return
    field, upload = field_of(row.field_id), row.upload
    if field is None:
        raise TokenInvalid(f"No field has the id {row.field_id!r} by now.")
    if not has_come_here(row):
        row.received = _measured(row, storage_of(field))
    elif row.is_size_known and row.received != upload.size:
        raise UploadIncomplete(
            f"Of {upload.size:,} bytes, {row.received:,} have come by now."
        )
    place_of(row).complete(row)
    try:
        _check(row, field)
    except UploadError:
        discard(row)
        raise
    upload.size, upload.chunk_size = row.received, CHUNK_SIZE
    if upload.held_as is None:
        upload.chunk_count = -(-row.received // CHUNK_SIZE)
    # Of what is in a bucket, only the worker sees the bytes again.
    is_near = has_come_here(row) and not row.parts
    upload.sha256 = sha256 or (_digest(upload) if is_near else "")
    _complete(row)


def discard(row: FieldUpload) -> None:
    """Delete an upload that waits for its form, with its bytes."""
    upload = row.upload
    if upload.state != UploadState.RECEIVING:
        return
    # First: what is still arriving is not written behind it.
    rows = FieldUpload.objects.using(upload.held_in).filter(pk=row.pk)
    rows.update(writer=None)
    if endings.give_up(upload):
        Sweep(upload.held_in).delete(upload)


@contextmanager
def begun(row: FieldUpload) -> Iterator[None]:
    """Give an upload up if a block raises that begins it at its storage.

    Nobody could go on with it, and it would count among those of its owner. What the
    storage may have of it is deleted by a sweep: it does not answer now.
    """
    try:
        yield
    except Exception:  # of any storage
        endings.give_up(row.upload)
        raise


def _measured(row: FieldUpload, storage: Any) -> int:
    size = storage.measure(row.upload.held_as)
    if size is None:
        raise UploadIncomplete(
            f"{row.upload.filename!r} has not arrived in its storage. Send it again."
        )
    return int(size)


def _check(row: FieldUpload, field: Any) -> None:
    upload, size = row.upload, row.received
    check_size(size, upload.filename, restrictions.limit_of(field, not upload.held_as))
    if row.is_size_known and size != upload.size:
        # As some storages let in what they were not told of.
        raise UploadIncomplete(
            f"{upload.filename!r} has {size:,} bytes and not {upload.size:,}, as was "
            "said before. Choose the file again."
        )
    check_head(place_of(row).head(upload), upload.filename, field.upload_policy)


def check_size(size: int, filename: str, limit: int) -> None:
    """Raise UploadTooLarge or UploadEmpty."""
    if size > limit:
        raise too_large(limit)
    if not size:
        raise UploadEmpty(f"{filename!r} is empty. Choose another file.")


def check_head(head: bytes, filename: str, policy: Any) -> None:
    """Raise ContentRejected for a file whose first bytes are not accepted."""
    with as_upload_errors():
        if isinstance(policy, ImagePolicy):
            check_image_head(head[:HEAD], policy)
        else:
            check_file(head[:HEAD], filename, policy)


def _digest(upload: Upload) -> str:
    digest = hashlib.sha256()
    for data in pieces(upload):
        digest.update(data)
    return digest.hexdigest()


def _complete(row: FieldUpload) -> None:
    upload = row.upload
    database = upload.held_in
    rows = FieldUpload.objects.using(database).filter(pk=row.pk, completed_at=None)
    with transaction.atomic(using=database):
        now = dialects.of(database).clock()
        if not rows.update(completed_at=now, received=row.received, writer=None):
            raise UploadUsed(f"{upload.filename!r} has been received already.")
        receiving = upload.rows().filter(state=UploadState.RECEIVING)
        receiving.update(
            size=upload.size,
            sha256=upload.sha256,
            chunk_size=upload.chunk_size,
            chunk_count=upload.chunk_count,
        )
    row.refresh_from_db(fields=["completed_at"])
