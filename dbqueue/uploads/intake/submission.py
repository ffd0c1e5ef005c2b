"""A file handed over for a field: checked, written in pieces, and given to a job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import IntegrityError, connections, models, transaction

from dbqueue import dialects
from dbqueue.imaging.signatures import HEAD
from dbqueue.uploads import endings, work
from dbqueue.uploads.chunks import CHUNK_SIZE, ChunkWriter, copy_in, too_large
from dbqueue.uploads.exceptions import (
    UploadEmpty,
    UploadError,
    UploadIncomplete,
    UploadPending,
    as_upload_errors,
)
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.intake import quotas
from dbqueue.uploads.intake.filenames import clean, clean_type
from dbqueue.uploads.intake.received import ReceivedFile
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.targets import Target

ON_CONFLICT = ("newest", "error")
# Two requests for one field wait for each other at the model's row. Where that is in
# another database, they meet at the constraint instead, and the later goes again.
_TRIES = 10
_SET_THERE = ["created_at", "expires_at", "job_id"]  # by the database, or as text


class Submission:
    """One file on its way from a request into the database."""

    def __init__(
        self, file: Any, instance: models.Model, owner: Any, on_conflict: str
    ) -> None:
        if not isinstance(instance, models.Model):
            raise UploadError(f"{instance!r} is not a model instance.")
        if not _can_be_read(file):
            raise UploadError(f"{file!r} is not a file. Pass request.FILES[...].")
        if on_conflict not in ON_CONFLICT:
            raise UploadError(
                f"on_conflict={on_conflict!r} must be one of {ON_CONFLICT}."
            )
        self._file = file
        self._owner_id = quotas.owner_id_of(owner)
        self._on_conflict = on_conflict
        self._limit = 0
        self.filename = clean(getattr(file, "name", None))

    @property
    def form_name(self) -> str | None:
        """The name of the form's field that the file came in, if it tells."""
        name: str | None = getattr(self._file, "field_name", None)
        return name

    def check(self, limit: int, check_head: Callable[[bytes], Any]) -> None:
        """Refuse what is empty, over `limit` bytes, or refused by its first bytes."""
        if (self._size() or 0) > limit:
            raise too_large(limit)
        head = self._read_head()
        if not head:
            raise UploadEmpty(f"{self.filename!r} is empty. Choose another file.")
        with as_upload_errors():
            check_head(head)
        self._limit = limit

    def place(self, target: Target, **columns: Any) -> UploadHandle:
        """Write the file and its job in the caller's transaction."""
        database = work.database()
        upload = Upload(
            **target.key(),
            **columns,
            given_as=target.given_as._meta.label,
            filename=self.filename,
            content_type=clean_type(getattr(self._file, "content_type", None)),
            owner_id=self._owner_id,
        )
        # Before the transaction, which SQLite begins as a reader by default: one that
        # has read is told "locked" when it writes after others have.
        self._check_quotas(database)
        with transaction.atomic(using=database):
            self._take_in(upload, database)
            if _is_open_elsewhere(target, database):
                self._put_aside(upload, target, database)
            else:
                self._attach(upload, target, database)
        return UploadHandle(upload)

    def _check_quotas(self, database: str) -> None:
        received = isinstance(self._file, ReceivedFile)
        quotas.check(
            database,
            self._owner_id,
            self._size() or 0,
            received=self._file.upload.pk if received else None,
        )

    def _size(self) -> int | None:
        """Return the bytes that the file says it has, if it does."""
        with self._explained():
            size = getattr(self._file, "size", None)
        return size if isinstance(size, int) else None

    def _read_head(self) -> bytes:
        with self._explained():
            self._file.seek(0)
            head: bytes | str = self._file.read(HEAD)
        if isinstance(head, str):
            raise UploadError(f"{self.filename!r} is text. Open it in binary mode.")
        return head

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a closed file
            raise UploadIncomplete(
                f"{self.filename!r} cannot be read: {error}. Pass the file "
                "unchanged, as it came with the request."
            ) from error

    def _take_in(self, upload: Upload, database: str) -> None:
        if isinstance(self._file, ReceivedFile) and self._take_over(upload, database):
            return
        writer = ChunkWriter(database, upload.pk, self._limit)
        copy_in(self._file, writer, expected=self._size())
        upload.size, upload.sha256 = writer.size, writer.sha256
        upload.chunk_size, upload.chunk_count = CHUNK_SIZE, writer.count

    def _received(self, upload: Upload) -> bool:
        file = self._file
        return isinstance(file, ReceivedFile) and file.upload.pk == upload.pk

    def _take_over(self, upload: Upload, database: str) -> bool:
        """Use the bytes that the handler has written; return False if they are used."""
        received = self._file.upload
        rows = Upload.objects.using(database).filter(
            pk=received.pk, state=UploadState.RECEIVING
        )
        if not rows.update(owner_id=self._owner_id):  # locks the row, too
            return False
        upload.pk = received.pk
        for name in ("size", "sha256", "chunk_size", "chunk_count"):
            setattr(upload, name, getattr(received, name))
        return True

    def _put_aside(self, upload: Upload, target: Target, database: str) -> None:
        """Attach the upload when the model's own transaction has committed."""
        target.current_name()  # raises for a row that is not there
        clock = dialects.of(database).clock()
        upload.state = UploadState.RECEIVING
        upload.created_at, upload.expires_at = clock, clock + endings.KEEP_RECEIVED
        self._save(upload, database)
        attach = partial(self._attach, upload, target, database)
        transaction.on_commit(attach, using=target.database, robust=True)

    def _attach(self, upload: Upload, target: Target, database: str) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                with transaction.atomic(using=database):
                    self._make_room(target, database)
                    self._write(upload, target, database)
            except IntegrityError as error:
                if attempt < _TRIES:
                    continue
                raise UploadPending(
                    f"Too many concurrent uploads to {target.label} {target.pk} "
                    f"{target.field.name!r}. Try again."
                ) from error
            endings.announce(UploadState.STORED, upload)
            return

    def _make_room(self, target: Target, database: str) -> None:
        if target.database == database:
            target.lock()
        waiting = Upload.objects.using(database).filter(
            **target.key(), state__in=(UploadState.STORED, UploadState.FAILED)
        )
        for older in waiting:
            if older.state == UploadState.STORED and self._on_conflict == "error":
                raise UploadPending(
                    f"{older.filename!r} is pending for the same field. Wait for it, "
                    'cancel it, or pass on_conflict="newest".'
                )
            endings.end(older, UploadState.SUPERSEDED)

    def _write(self, upload: Upload, target: Target, database: str) -> None:
        upload.state = UploadState.STORED
        upload.expected_name = target.current_name()
        upload.job_id = work.enqueue_processing(upload).id
        upload.created_at = dialects.of(database).clock()
        upload.expires_at = None
        self._save(upload, database)

    def _save(self, upload: Upload, database: str) -> None:
        there = not upload._state.adding or self._received(upload)
        upload.save(using=database, force_insert=not there, force_update=there)
        upload.refresh_from_db(using=database, fields=_SET_THERE)


def _is_open_elsewhere(target: Target, database: str) -> bool:
    """Tell whether the row may still be rolled back, and the upload would not be."""
    if target.database == database:
        return False
    blocks: Any = connections[target.database].atomic_blocks
    # A TestCase's own never commits; Django passes over it in the same way.
    return any(not block._from_testcase for block in blocks)


def _can_be_read(file: Any) -> bool:
    try:
        return hasattr(file, "read") and hasattr(file, "seek")
    except (OSError, ValueError):  # the file of a model's field, which is not there
        return False
