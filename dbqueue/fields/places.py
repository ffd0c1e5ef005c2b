"""Where the bytes of an upload wait: in the database, or in the field's storage."""

from typing import Any, Protocol

from dbqueue.fields import conf
from dbqueue.fields.models import FieldUpload
from dbqueue.fields.registry import field_of
from dbqueue.fields.storages.base import AsyncUploadStorage
from dbqueue.imaging.signatures import HEAD
from dbqueue.uploads.chunks import CHUNK_SIZE, write_piece
from dbqueue.uploads.models import Upload, UploadChunk


class Place(Protocol):
    """What receives bytes; write() is called in the transaction that counts them."""

    def restart(self, upload: Upload) -> None: ...

    def write(self, upload: Upload, offset: int, data: bytes) -> None: ...

    def left(self, upload: Upload, offset: int) -> bytes: ...

    def head(self, upload: Upload) -> bytes: ...


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

    def _rows(self, upload: Upload) -> Any:
        return UploadChunk.objects.using(upload.held_in).filter(upload=upload.pk)


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


def storage_of(field: Any) -> AsyncUploadStorage | None:
    """Return the field's storage if it takes uploads, None where the database does."""
    # Not isinstance() of a lazy object: its class is that of what it stands for.
    storage = field.storage
    return storage if isinstance(storage, AsyncUploadStorage) else None


def comes_here(field: Any) -> bool:
    """Tell whether the bytes for a field come through this site."""
    storage = storage_of(field)
    return storage is None or storage.receives_here


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
    return StoragePlace(storage)
