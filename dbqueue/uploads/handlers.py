"""BlobUploadHandler: files of a request's body go straight into the database."""

import logging
import time
from contextlib import ExitStack, suppress
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler, StopFutureHandlers
from django.db import DatabaseError
from django.http.multipartparser import MultiPartParser

from dbqueue import dialects
from dbqueue.conf import MB
from dbqueue.uploads import conf, endings, work
from dbqueue.uploads.chunks import (
    CHUNK_SIZE,
    COLUMNS,
    ChunkWriter,
    copy_columns,
    too_large,
)
from dbqueue.uploads.exceptions import UploadQuotaExceeded, UploadTooLarge
from dbqueue.uploads.intake import quotas
from dbqueue.uploads.intake.filenames import clean, clean_type
from dbqueue.uploads.intake.received import ReceivedFile
from dbqueue.uploads.models import Upload, UploadState

logger = logging.getLogger(__name__)

RENEWAL = endings.KEEP_RECEIVED.total_seconds() / 6
LONGEST_REST = 100 * MB  # bytes of a refused body that are still read


class BodyTooLarge(UploadTooLarge, RequestDataTooBig):
    """A request is over `MAX_REQUEST_SIZE` in `UPLOADS`, or a file over `MAX_SIZE`."""

    status_code = 413


class BodyRefused(UploadQuotaExceeded, RequestDataTooBig):
    """There is no room in `BYTES` of `UPLOADS` for the body of a request."""

    status_code = 503


class BlobUploadHandler(FileUploadHandler):
    """Writes files into the database as they arrive, a piece in memory at a time.

    A form gets a StreamedFile. Raises BodyTooLarge and BodyRefused, for which Django
    answers 400 and UploadLimitMiddleware 413 or 503; nothing of the body is kept.
    """

    chunk_size = CHUNK_SIZE

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._parsing = False
        self._body_left = 0
        self._received = 0  # bytes of all files
        self._upload: Upload | None = None
        self._writer: ChunkWriter | None = None
        self._renew_at = 0.0

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
        self._parsing, self._body_left = True, content_length
        handlers = self.request.upload_handlers  # type: ignore[union-attr]  # Django gives one
        # No method of a handler is called when a body breaks off: wrap the parser.
        with ExitStack() as cleaning:
            cleaning.callback(self._discard)
            parser = MultiPartParser(META, input_data, handlers, encoding)
            try:
                parsed = parser.parse()
            except (BodyTooLarge, BodyRefused):
                self._read_the_rest(input_data)
                raise
            cleaning.pop_all()
        return parsed

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._discard()  # another handler had the parser skip it
        database = work.database()
        limit = conf.current().max_size
        # Until its size is known, the rest of the body counts as pending.
        size = min(limit, self._body_left)
        try:
            quotas.check(database, "", size)
        except UploadQuotaExceeded as error:
            self._refuse(BodyRefused(*error.args))
        self._upload = self._begin(database, size)
        self._writer = ChunkWriter(database, self._upload.pk, limit)
        self._renew_at = time.monotonic() + RENEWAL
        raise StopFutureHandlers

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._writer
        self._body_left -= len(raw_data)
        self._received += len(raw_data)
        try:
            if self._received > (limit := conf.current().max_request_size):
                raise too_large(limit, "All files together are")
            self._writer.write(raw_data)
            self._keep_alive()
        except UploadTooLarge as error:
            self._refuse(BodyTooLarge(*error.args))

    def file_complete(self, file_size: int) -> "StreamedFile | None":
        upload, writer = self._upload, self._writer
        if upload is None or writer is None:
            return None
        writer.close()
        copy_columns(writer, upload)
        upload.save(update_fields=COLUMNS)
        self._upload = None
        return StreamedFile(upload, str(self.field_name), self.charset)

    def upload_interrupted(self) -> None:
        self._discard()

    def upload_complete(self) -> None:
        self._discard()  # another handler had the parser stop

    def _begin(self, database: str, size: int) -> Upload:
        clock = dialects.of(database).clock()
        return Upload.objects.using(database).create(
            state=UploadState.RECEIVING,
            is_image=False,
            filename=clean(self.file_name),
            content_type=clean_type(self.content_type),
            size=size,
            chunk_size=CHUNK_SIZE,
            chunk_count=0,
            created_at=clock,
            expires_at=clock + endings.KEEP_RECEIVED,
        )

    def _keep_alive(self) -> None:
        """Keep the sweep from an upload that arrives slowly."""
        if self._upload and time.monotonic() >= self._renew_at:
            clock = dialects.of(self._upload.held_in).clock()
            expires_at = clock + endings.KEEP_RECEIVED
            self._upload.rows().update(expires_at=expires_at)
            self._renew_at = time.monotonic() + RENEWAL

    def _refuse(self, error: BodyTooLarge | BodyRefused) -> None:
        self.request.upload_refusal = error  # type: ignore[union-attr]  # for the middleware
        raise error from None

    def _read_the_rest(self, input_data: Any) -> None:
        # A client that is still sending when the connection closes misses the answer.
        if self._body_left <= LONGEST_REST:
            with suppress(OSError):
                while input_data.read(CHUNK_SIZE):
                    pass

    def _discard(self) -> None:
        if self._upload is not None:
            discard(self._upload)
        self._upload = None


class StreamedFile(ReceivedFile):
    """A file whose bytes are deleted with its request, unless it was saved."""

    kept = False  # for the next request, by a field of a form

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self.kept:
                discard(self.upload)


def discard(upload: Upload) -> None:
    """Delete what was received, unless it was saved; if that fails, the sweep does."""
    try:
        upload.rows().filter(state=UploadState.RECEIVING).delete()
    except DatabaseError as error:
        text = "Could not delete upload id=%s; the sweep will, in an hour: %s"
        logger.warning(text, upload.pk, error)
