"""AsyncUploadStorage: what a storage must do to take files before their form."""

import mimetypes
import os
import secrets
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.utils import timezone

from dbqueue.fields import conf, links, tokens
from dbqueue.imaging.formats import FORMATS
from dbqueue.uploads.intake.filenames import clean

TEMPORARY = "async-temp-files"
# What nobody has looked at yet is not shown as a page of a bucket's domain.
ATTACHMENT = "attachment"
_PICTURES = {made.content_type for made in FORMATS.values()}


class AsyncUploadStorage(Storage):
    """A storage that holds files under temporary names until their form is submitted.

    A field whose storage is none of these receives into the database.
    """

    provider = ""  # what pages call it
    # Whether the bytes come through this site: append() takes them. Else the browser
    # sends them to where sign_upload() says.
    receives_here = False
    # Whether put_part() takes the parts of a file that comes through this site by tus,
    # though the bytes of a browser do not.
    takes_parts = False
    # Seconds that an address to send bytes to is valid, where they are received here;
    # None = TOKEN_AGE of FIELDS.
    upload_age: float | None = None
    temporary_key_prefix = TEMPORARY
    # Whether everybody may read its objects, who knows or guesses a name.
    is_public = False

    @property
    def arrives_for(self) -> float:
        """The seconds from its beginning in which an upload given up may still come.

        A browser may begin to send until its address expires, and take as long again.
        """
        return 0.0 if self.receives_here else 2 * conf.current().url_age

    def generate_temporary_path(
        self, filename: str, max_length: int | None = None
    ) -> str:
        """Return a new name for a file that is about to be sent.

        Raises SuspiciousFileOperation if max_length leaves no room for one.
        """
        day = timezone.now().strftime("%Y/%m/%d")
        folder = f"{self.temporary_key_prefix}/{day}/{secrets.token_hex(16)}-"
        stem, ending = os.path.splitext(clean(filename))
        room = (max_length or 500) - len(folder) - len(ending)
        if room < 1:
            raise SuspiciousFileOperation(
                f"{folder}… and {ending!r} do not fit into {max_length} characters."
            )
        return f"{folder}{stem[:room]}{ending}"

    def is_temporary_path(self, key: str) -> bool:
        """Tell whether a name is one of an object that waits for its form."""
        return key.startswith(f"{self.temporary_key_prefix}/")

    def problem(self) -> str | None:
        """Return why no address can be signed, as far as the options tell; for E028."""
        return None

    def sign_upload(
        self,
        key: str,
        *,
        content_type: str,
        max_size: int,
        size: int | None,
        seconds: float,
        field_id: str,
    ) -> dict[str, Any]:
        """Return where, and how, a browser sends the bytes of one object.

        The dict has "url", "fields", "method", "headers" and "fileFieldName".
        """
        raise NotImplementedError(f"{type(self).__name__} signs no uploads.")

    def begin_parts(
        self, key: str, *, content_type: str, size: int
    ) -> dict[str, Any] | None:
        """Begin an upload in parts; return what to keep of it.

        Returns None for one that is better sent whole.
        """
        return None

    def begin_parts_here(
        self, key: str, *, content_type: str, size: int
    ) -> dict[str, Any]:
        """Begin an upload whose parts come by put_part(); return what to keep of it.

        The dict has the "size" of a part in bytes, a multiple of CHUNK_SIZE.
        """
        raise NotImplementedError(f"{type(self).__name__} has no uploads in parts.")

    def put_part(self, key: str, parts: dict[str, Any], number: int, file: Any) -> None:
        """Send one part, counted from 1, in place of one of the same number.

        Raises TokenExpired for an upload that has been given up, and UploadUsed for one
        that has been completed.
        """
        raise NotImplementedError(f"{type(self).__name__} has no uploads in parts.")

    def sign_parts(
        self, key: str, parts: dict[str, Any], *, size: int, seconds: float
    ) -> dict[str, Any]:
        """Return where a browser sends the parts that have not arrived.

        The dict has the "size" of a part in bytes and "urls": one a part, None for one
        that is there. Raises TokenExpired for an upload that has been given up.
        """
        raise NotImplementedError(f"{type(self).__name__} has no uploads in parts.")

    def complete_parts(self, key: str, parts: dict[str, Any], size: int) -> None:
        """Make one object of the parts; `parts` is what was kept of it.

        Does nothing for one that has been completed. Raises UploadIncomplete if they
        are not as many bytes as `size`, TokenExpired for one that has been given up.
        """
        raise NotImplementedError(f"{type(self).__name__} has no uploads in parts.")

    def put(self, key: str, file: Any) -> None:
        """Send the bytes of a file that came here with a form."""
        raise NotImplementedError(f"{type(self).__name__} is sent no bytes from here.")

    def measure(self, key: str) -> int | None:
        """Return the bytes of an object that has arrived, None if there is none."""
        return self.size(key) if self.exists(key) else None

    def beginning(self, key: str, length: int) -> bytes:
        """Return the first bytes of an object."""
        with self.open(key) as file:
            data: bytes = file.read(length)
        return data

    def append(self, key: str, offset: int, data: bytes) -> None:
        """Write bytes at an offset, and cut off what was behind it."""
        raise NotImplementedError(f"{type(self).__name__} receives no bytes here.")

    def url(self, name: str | None, *args: Any, **kwargs: Any) -> str:
        """Return an object's address. Raises ValueError for one that waits."""
        if name and self.is_temporary_path(name):
            raise ValueError(f"{name!r} waits for its form; it has no address.")
        return super().url(name, *args, **kwargs)

    def generate_download_url(self, key: str, field_id: str, **params: Any) -> str:
        """Return an address that anybody can download an object from, for a time.

        `expire` is in seconds; default URL_AGE of FIELDS.
        """
        token = tokens.sign_name(key, field_id, params.get("expire"))
        return links.address("file", token)


def picture_type(name: str) -> str | None:
    """Return the content type of a picture, which browsers may show; else None."""
    kind = mimetypes.guess_type(name)[0]
    return kind if kind in _PICTURES else None
