"""Where the bytes of an upload wait: in the database, or in the field's storage."""

from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import Any, Protocol

from django.db.models import Min

from dbqueue.fields import conf, restrictions
from dbqueue.fields.exceptions import TokenExpired
from dbqueue.fields.models import NAMED, FieldUpload
from dbqueue.fields.registry import field_of
from dbqueue.fields.storages.base import AsyncUploadStorage
from dbqueue.imaging.signatures import HEAD
from dbqueue.uploads.chunks import CHUNK_SIZE, piece, write_piece
from dbqueue.uploads.exceptions import UploadUsed
from dbqueue.uploads.models import Upload, UploadChunk


class Place(Protocol):
    """What receives bytes; write() is called in the transaction that counts them."""

    def restart(self, upload: Upload) -> None: ...

    def write(self, upload: Upload, offset: int, data: bytes) -> None: ...

    def left(self, upload: Upload, offset: int) -> bytes: ...

    def head(self, upload: Upload) -> bytes: ...

    def hand_on(self, row: FieldUpload) -> None:
        """Do what follows the commit that counted some bytes."""

    def complete(self, row: FieldUpload) -> None:
        """Do what follows when all bytes are there. May be repeated."""


class DatabasePlace:
    """Chunks, each but the last as long as CHUNK_SIZE."""

    def restart(self, upload: Upload) -> None:
        self._rows(upload).delete()

    def write(self, upload: Upload, offset: int, data: bytes) -> None:
        """Write one chunk, in place of one that was shorter."""
        position = offset // CHUNK_SIZE
        self._rows(upload).filter(position__gte=position).delete()
        write_piece(upload.held_in, upload.pk, position, data)

    def left(self, upload: Upload, offset: int) -> bytes:
        """Return what the last, shorter chunk has, which is to be written anew."""
        rows = self._rows(upload).filter(position=offset // CHUNK_SIZE)
        data = rows.values_list("data", flat=True).first()
        return bytes(data or b"")[: offset % CHUNK_SIZE]

    def head(self, upload: Upload) -> bytes:
        data = self._rows(upload).filter(position=0).values_list("data", flat=True)
        return bytes(data.first() or b"")[:HEAD]

    def hand_on(self, row: FieldUpload) -> None:
        pass

    def complete(self, row: FieldUpload) -> None:
        pass

    def _rows(self, upload: Upload) -> Any:
        return UploadChunk.objects.using(upload.held_in).filter(upload=upload.pk)


class PartsPlace(DatabasePlace):
    """A storage that takes parts, and the database for bytes that are none yet.

    The bytes of a part are always the same, as an upload goes on only where it ended:
    whoever finds them all in the database may send them, also a second time.
    """

    def __init__(self, storage: AsyncUploadStorage) -> None:
        self._storage = storage
        self._sent = 0  # bytes that are known to be there, in whole parts

    def head(self, upload: Upload) -> bytes:
        return self._storage.beginning(str(upload.held_as), HEAD)

    def hand_on(self, row: FieldUpload) -> None:
        """Send what fills a part, and delete it here."""
        until = row.received // _size(row) * _size(row)
        if until > self._sent:
            self._send(row, until)
            self._sent = until

    def complete(self, row: FieldUpload) -> None:
        if not row.received:
            return
        # It may have been completed before, in a transaction that was rolled back.
        with suppress(UploadUsed):
            self._send(row, row.received)
        key = str(row.upload.held_as)
        self._storage.complete_parts(key, _parts(row), row.received)
        self._rows(row.upload).delete()

    def _send(self, row: FieldUpload, until: int) -> None:
        rows = self._rows(row.upload)
        first = rows.aggregate(first=Min("position"))["first"]
        begins = () if first is None else range(first * CHUNK_SIZE, until, _size(row))
        for begin in begins:
            self._send_part(row, begin, min(begin + _size(row), until))

    def _send_part(self, row: FieldUpload, begin: int, end: int) -> None:
        positions = range(begin // CHUNK_SIZE, -(-end // CHUNK_SIZE))
        with SpooledTemporaryFile(max_size=CHUNK_SIZE) as file:
            for position in positions:
                file.write(piece(row.upload, position))
            if file.tell() != end - begin:  # somebody else has sent it by now
                return
            file.seek(0)
            number = begin // _size(row) + 1
            self._storage.put_part(str(row.upload.held_as), _parts(row), number, file)
        self._rows(row.upload).filter(position__in=positions).delete()


class StoragePlace:
    """A temporary object of a storage that takes bytes from here."""

    def __init__(self, storage: AsyncUploadStorage) -> None:
        self._storage = storage

    def restart(self, upload: Upload) -> None:
        # The first write cuts off what is there. Before the commit that forgets it, it
        # may not: after a rollback, the count would be of bytes that are gone.
        pass

    def write(self, upload: Upload, offset: int, data: bytes) -> None:
        self._storage.append(str(upload.held_as), offset, data)

    def left(self, upload: Upload, offset: int) -> bytes:
        return b""

    def head(self, upload: Upload) -> bytes:
        return self._storage.beginning(str(upload.held_as), HEAD)

    def hand_on(self, row: FieldUpload) -> None:
        pass

    def complete(self, row: FieldUpload) -> None:
        pass


def _parts(row: FieldUpload) -> dict[str, Any]:
    return row.parts or {}


def _size(row: FieldUpload) -> int:
    size: int = _parts(row)["size"]
    return size


def storage_of(field: Any) -> AsyncUploadStorage | None:
    """Return the field's storage if it takes uploads, None where the database does."""
    # Not isinstance() of a lazy object: its class is that of what it stands for.
    storage = field.storage
    return storage if isinstance(storage, AsyncUploadStorage) else None


def comes_here(field: Any) -> bool:
    """Tell whether the bytes for a field come through this site."""
    storage = storage_of(field)
    return storage is None or storage.receives_here


def takes_tus(field: Any) -> bool:
    """Tell whether the bytes for a field may come through this site by tus."""
    storage = storage_of(field)
    return storage is None or storage.receives_here or storage.takes_parts


def has_come_here(row: FieldUpload) -> bool:
    """Tell whether the bytes of an upload come through this site, and are counted."""
    storage = storage_of(field_of(row.field_id))
    if row.upload.held_as is None or storage is None:
        return True
    return row.via != NAMED and (storage.receives_here or row.via == "tus")


def begin_parts_here(row: FieldUpload) -> None:
    """Begin an upload by tus at its storage, where that takes parts."""
    storage = storage_of(field_of(row.field_id))
    if storage is None or storage.receives_here:
        return
    upload = row.upload
    row.parts = storage.begin_parts_here(
        str(upload.held_as),
        content_type=restrictions.type_of(upload.filename, upload.content_type),
        size=upload.size,
    )
    row.save(update_fields=["parts"])


def parts_of(row: FieldUpload, storage: AsyncUploadStorage) -> dict[str, Any]:
    """Return where the parts of an upload go that have not arrived."""
    # The addresses permit to write: they are not kept, and made anew when they expire.
    return storage.sign_parts(
        str(row.upload.held_as),
        row.parts or {},
        size=row.upload.size,
        seconds=conf.current().url_age,
    )


def place_of(row: FieldUpload) -> Place:
    """Return where the bytes of an upload go."""
    storage = storage_of(field_of(row.field_id))
    if row.upload.held_as is None or storage is None:
        return DatabasePlace()
    if row.via == "tus" and not storage.receives_here:
        if row.parts is None:  # it was begun when the field had another storage
            raise TokenExpired("What was sent before is gone. Begin it again.")
        return PartsPlace(storage)
    return StoragePlace(storage)
