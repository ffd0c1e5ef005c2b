"""A file handed over for a field: checked, written in pieces, and given to a job."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connections, models, transaction

from dbqueue import dialects
from dbqueue.imaging.policy import MAX_SIZE, FilePolicy, ImagePolicy
from dbqueue.imaging.signatures import HEAD, check_file, check_image_head
from dbqueue.uploads import endings, work
from dbqueue.uploads.chunks import ChunkWriter, copy_columns, copy_in, too_large
from dbqueue.uploads.exceptions import (
    UploadEmpty,
    UploadError,
    UploadIncomplete,
    UploadPending,
    UploadUsed,
    as_upload_errors,
)
from dbqueue.uploads.handle import UploadHandle
from dbqueue.uploads.intake import quotas
from dbqueue.uploads.intake.fields import check_field
from dbqueue.uploads.intake.filenames import clean, clean_type
from dbqueue.uploads.intake.received import ReceivedFile
from dbqueue.uploads.models import Upload, UploadState
from dbqueue.uploads.targets import find_field, target_of

ON_CONFLICT = ("newest", "error")
# Two requests for one field wait for each other at the model's row. Where that is in
# another database, they conflict at the constraint instead, and the later retries.
_TRIES = 10
_SET_THERE = ["created_at", "expires_at", "job_id"]  # by the database, or as text


class Submission:
    """One file on its way from a request into the database."""

    def __init__(
        self,
        file: Any,
        instance: models.Model,
        field_name: str | None,
        policy: FilePolicy | ImagePolicy,
        owner: Any = None,
        on_conflict: str = "newest",
        using: str | None = None,
        **columns: Any,
    ) -> None:
        if not _can_be_read(file):
            raise UploadError(f"{file!r} is not a file. Pass request.FILES[...].")
        if on_conflict not in ON_CONFLICT:
            problem = f"on_conflict={on_conflict!r} must be one of {ON_CONFLICT}."
            raise UploadError(problem)
        self._file = file
        self._policy = policy
        self._on_conflict = on_conflict
        self._database = work.database()
        is_image = isinstance(policy, ImagePolicy)
        kind = models.ImageField if is_image else models.FileField
        form_name = getattr(file, "field_name", None)
        field = find_field(instance, field_name, kind, form_name)
        self._target = target_of(instance, field, using)
        variants, options = columns.get("variants", {}), columns.get("options", {})
        check_field(field, instance, variants, options.get("save_mode", "update"))
        self._upload = Upload(
            **self._target.key(),
            **columns,
            given_as=self._target.given_as._meta.label,
            is_image=is_image,
            policy=policy.as_json(),
            filename=clean(getattr(file, "name", None)),
            content_type=clean_type(getattr(file, "content_type", None)),
            owner_id=quotas.owner_id_of(owner),
        )

    def place(self) -> UploadHandle:
        """Check the file, and write it and its job in the caller's transaction."""
        size = self._size()
        self._check(size or 0)
        with transaction.atomic(using=self._database):
            if not self._take_over():
                writer = ChunkWriter(self._database, self._upload.pk, self._limit)
                copy_in(self._file, writer, expected=size)
                copy_columns(writer, self._upload)
            if self._is_open_elsewhere():
                self._put_aside()
            else:
                self._attach()
        return UploadHandle(self._upload)

    @property
    def _received(self) -> Upload | None:
        """The upload that was received before, if this is one."""
        return self._file.upload if isinstance(self._file, ReceivedFile) else None

    def _check(self, size: int) -> None:
        """Refuse what is too large, empty, of the wrong type, or over the quotas."""
        received = self._received
        in_storage = received is not None and received.held_as is not None
        limit = self._policy.max_size if in_storage else self._limit
        if size > limit:
            raise too_large(limit)
        if not self._is_once:  # else that was done when it had arrived
            self._check_head()
        if not in_storage:
            # Before the transaction, which SQLite begins as a reader by default: one
            # that has read fails with "locked" when it writes after others have.
            pk = received.pk if received else None
            quotas.check(self._database, self._upload.owner_id, size, received=pk)

    @property
    def _limit(self) -> int:
        return min(self._policy.max_size, MAX_SIZE)

    @property
    def _is_once(self) -> bool:
        return isinstance(self._file, ReceivedFile) and self._file.once

    def _check_head(self) -> None:
        upload, head = self._upload, self._read_head()
        if not head:
            raise UploadEmpty(f"{upload.filename!r} is empty. Choose another file.")
        with as_upload_errors():
            if isinstance(self._policy, ImagePolicy):
                check_image_head(head, self._policy)
            else:
                check_file(head, upload.filename, self._policy)

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
            name = self._upload.filename
            raise UploadError(f"{name!r} is text. Open it in binary mode.")
        return head

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a closed file
            # For the form of the one who uploads it; the rest is for its developer.
            unread = UploadIncomplete(
                f"{self._upload.filename!r} could not be read. Choose the file again."
            )
            unread.add_note("Pass the file unchanged, as it came with the request.")
            raise unread from error

    def _take_over(self) -> bool:
        """Use the bytes that were received before; return False if they are used."""
        received = self._received
        if received is None:
            return False
        rows = Upload.objects.using(self._database)
        unused = rows.filter(pk=received.pk, state=UploadState.RECEIVING)
        if self._is_once:
            unused = unused.filter(expires_at__gt=dialects.of(self._database).clock())
        if not unused.update(owner_id=self._upload.owner_id):  # locks the row, too
            if self._is_once:
                name = self._upload.filename
                raise UploadUsed(f"{name!r} was used already, or has expired.")
            return False
        self._upload.pk, self._upload.held_as = received.pk, received.held_as
        copy_columns(received, self._upload)
        return True

    def _is_open_elsewhere(self) -> bool:
        """Tell whether the row may be rolled back, and the upload would not be."""
        if self._target.database == self._database:
            return False
        blocks: Any = connections[self._target.database].atomic_blocks
        # A TestCase's own never commits; Django passes over it in the same way.
        return any(not block._from_testcase for block in blocks)

    def _put_aside(self) -> None:
        """Attach the upload when the model's own transaction has committed."""
        self._target.current_name()  # raises for a row that is not there
        self._upload.state = UploadState.RECEIVING
        clock = dialects.of(self._database).clock()
        self._save(created_at=clock, expires_at=clock + endings.KEEP_RECEIVED)
        after = self._target.database
        transaction.on_commit(self._attach, using=after, robust=True)

    def _attach(self) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                with transaction.atomic(using=self._database):
                    self._make_room()
                    self._write()
            except IntegrityError as error:
                if attempt < _TRIES:
                    continue
                target = self._target
                raise UploadPending(
                    f"Too many concurrent uploads to {target.label} {target.pk} "
                    f"{target.field.name!r}. Try again."
                ) from error
            endings.announce(UploadState.STORED, self._upload)
            return

    def _make_room(self) -> None:
        if self._target.database == self._database:
            self._target.lock()
        uploads = Upload.objects.using(self._database).filter(**self._target.key())
        replaced = (UploadState.STORED, UploadState.FAILED)
        for older in uploads.filter(state__in=replaced):
            if older.state == UploadState.STORED and self._on_conflict == "error":
                raise UploadPending(
                    f"{older.filename!r} is pending for the same field. Wait for it, "
                    'cancel it, or pass on_conflict="newest".'
                )
            endings.end(older, UploadState.SUPERSEDED)

    def _write(self) -> None:
        self._upload.state = UploadState.STORED
        self._upload.expected_name = self._target.current_name()
        if not self._upload.options.get("inline"):
            self._upload.job_id = work.enqueue_processing(self._upload).id
        self._save(created_at=dialects.of(self._database).clock(), expires_at=None)

    def _save(self, *, created_at: Any, expires_at: Any) -> None:
        upload, received = self._upload, self._received
        upload.created_at, upload.expires_at = created_at, expires_at
        there = not upload._state.adding or bool(received and received.pk == upload.pk)
        upload.save(using=self._database, force_insert=not there, force_update=there)
        upload.refresh_from_db(using=self._database, fields=_SET_THERE)


def _can_be_read(file: Any) -> bool:
    try:
        return hasattr(file, "read") and hasattr(file, "seek")
    except (OSError, ValueError):  # the file of a model's field, which is not there
        return False
