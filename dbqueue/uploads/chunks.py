"""The bytes of uploads: streamed into rows and out again, one piece in memory."""

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from typing import IO
from uuid import UUID

from django.core.files.storage import Storage

from dbqueue import dialects
from dbqueue.uploads.exceptions import UploadDamaged, UploadIncomplete, UploadTooLarge
from dbqueue.uploads.models import Upload, UploadChunk
from dbqueue.uploads.statements import WRITE_CHUNK
from dbqueue.uploads.targets import target_of_upload

# Bytes in a row. A single row of 32 MB costs a client 256 MB; pieces cost 3 MB.
CHUNK_SIZE = 256 * 1024


# What is known of the bytes of an upload when all are there.
COLUMNS = ("size", "sha256", "chunk_size", "chunk_count")


class ChunkWriter:
    """Writes the pieces of one upload, up to `limit` bytes, and finds its COLUMNS."""

    chunk_size = CHUNK_SIZE

    def __init__(self, database: str, upload_id: UUID, limit: int) -> None:
        self.size = 0
        self.chunk_count = 0
        self._upload_id = upload_id
        self._limit = limit
        self._database = database
        self._digest = hashlib.sha256()
        self._buffer = bytearray()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Accept some bytes. Raises UploadTooLarge past the limit."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(self._limit)
        self._buffer += data
        while len(self._buffer) >= CHUNK_SIZE:
            self._write_chunk(bytes(self._buffer[:CHUNK_SIZE]))
            del self._buffer[:CHUNK_SIZE]

    def close(self) -> None:
        """Write what is left."""
        if self._buffer:
            self._write_chunk(bytes(self._buffer))
            self._buffer.clear()

    def _write_chunk(self, data: bytes) -> None:
        self._digest.update(data)
        write_piece(self._database, self._upload_id, self.chunk_count, data)
        self.chunk_count += 1


def write_piece(database: str, upload_id: UUID, position: int, data: bytes) -> None:
    """Write one piece of an upload."""
    dialect = dialects.of(database)
    values = (str(upload_id), position, data)
    dialect.execute_raw(WRITE_CHUNK[dialect.name], values)


def copy_columns(source: ChunkWriter | Upload, upload: Upload) -> None:
    """Write down in an upload what the source says of its bytes."""
    for name in COLUMNS:
        setattr(upload, name, getattr(source, name))


def copy_in(file: IO[bytes], writer: ChunkWriter, *, expected: int | None) -> None:
    """Write all of a file, from its beginning, even if it was read before.

    Raises UploadTooLarge, and UploadIncomplete if there is not as much as `expected`.
    """
    file.seek(0)
    while data := file.read(CHUNK_SIZE):
        writer.write(data)
    writer.close()
    if expected is not None and writer.size != expected:
        raise UploadIncomplete(
            f"Of a file of {expected:,} bytes, only {writer.size:,} could be read. "
            "It was closed, moved or cut off; upload it again."
        )


def pieces(upload: Upload) -> Iterator[bytes]:
    """Yield the bytes of an upload piece by piece, a query or a read each."""
    if upload.held_as is not None:
        with opened(upload) as file:
            yield from iter(partial(file.read, CHUNK_SIZE), b"")
        return
    for position in range(upload.chunk_count):
        if data := piece(upload, position):
            yield data


def opened(upload: Upload) -> IO[bytes]:
    """Return the bytes of an upload as a file that can be read and sought in."""
    if upload.held_as is None:
        return io.BufferedReader(ChunkReader(upload))
    storage: Storage = target_of_upload(upload).field.storage
    return storage.open(upload.held_as)


def copy_out(upload: Upload, file: IO[bytes]) -> None:
    """Write an upload's bytes into a file. Raises UploadDamaged if they are not all."""
    digest, size = hashlib.sha256(), 0
    for data in pieces(upload):
        file.write(data)
        digest.update(data)
        size += len(data)
        if size > upload.size:
            break
    file.flush()
    # Of an object that a browser sent to a storage, no one has seen the bytes yet.
    sha256 = upload.sha256 or digest.hexdigest()
    if (size, digest.hexdigest()) != (upload.size, sha256):
        raise UploadDamaged(
            f"Upload {upload.pk} has {size:,} of {upload.size:,} bytes, or others than "
            "were stored. Discard it and upload the file again."
        )


def piece(upload: Upload, position: int) -> bytes:
    """Return one piece, b"" for one that is not there."""
    chunks = UploadChunk.objects.using(upload.held_in)
    found = chunks.filter(upload=upload.pk, position=position)
    data = found.values_list("data", flat=True).first()
    return b"" if data is None else bytes(data)


def too_large(limit: int, what: str = "The file is") -> UploadTooLarge:
    return UploadTooLarge(
        f"{what} larger than {limit / 1e6:g} MB, the most that is accepted here."
    )


class ChunkReader(io.RawIOBase):
    """An upload's bytes as a seekable file, one piece in memory at a time."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._at = 0
        self._position = -1
        self._piece = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._upload.size}
        self._at = max(0, base[whence] + offset)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]  # narrower in the stubs
        position, start = divmod(self._at, self._upload.chunk_size)
        if position != self._position:
            self._piece = piece(self._upload, position)
            self._position = position
        data = self._piece[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
