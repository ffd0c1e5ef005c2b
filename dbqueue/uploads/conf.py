"""DBQUEUE["UPLOADS"]: every key, its unit and its default."""

from dataclasses import dataclass
from typing import ClassVar

from dbqueue.conf import DAY, MB, demand, section

REPLACED = ("keep", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """One field a key, in lower case here and in upper case in the dict."""

    PLACE: ClassVar[str] = "DBQUEUE['UPLOADS']"

    # Bytes of one file that BlobUploadHandler accepts, at most 100 MB; files that come
    # another way are limited by their policy alone.
    max_size: int = 20 * MB
    # Bytes of all files of one request that BlobUploadHandler accepts.
    max_request_size: int = 100 * MB
    # Bytes of all pending uploads, in all and of one owner, and how many pending ones
    # an owner may have. None = no limit.
    bytes: int | None = 2_000 * MB
    bytes_per_owner: int | None = 200 * MB
    count_per_owner: int | None = 50
    # Seconds the record of an upload that has ended is kept, and the bytes of one that
    # failed. Bytes that were received and never saved are deleted after an hour.
    keep: float = 7 * DAY
    keep_failed: float = 30 * DAY
    # What becomes of the file that an upload replaces: "keep" or "delete"; None deletes
    # it if an upload had stored it, and else keeps it. What is in use is kept anyway.
    replaced: str | None = None
    # Seconds that one attempt to decode and store an upload may take.
    timeout: float = 900.0

    def __post_init__(self) -> None:
        limits = ("bytes", "bytes_per_owner", "count_per_owner", "keep", "keep_failed")
        demand(self, ("max_size", *limits), lambda value: value >= 1, "at least 1")
        most = 100 * MB
        demand(self, ("max_size",), lambda value: value <= most, f"at most {most}")
        sizes = ("max_request_size", "timeout")
        demand(self, sizes, lambda value: value >= 1, "at least 1")
        known = REPLACED
        demand(self, ("replaced",), known.__contains__, f"None or one of {known}")


# The flat keys of before, and what to write for them.
RENAMED = {
    "UPLOAD_MAX_SIZE": "DBQUEUE['UPLOADS']['MAX_SIZE']",
    "UPLOAD_BYTES": "DBQUEUE['UPLOADS']['BYTES']",
    "UPLOAD_BYTES_PER_OWNER": "DBQUEUE['UPLOADS']['BYTES_PER_OWNER']",
    "UPLOADS_PER_OWNER": "DBQUEUE['UPLOADS']['COUNT_PER_OWNER']",
    "KEEP_UPLOADS": "DBQUEUE['UPLOADS']['KEEP']",
    "KEEP_FAILED_UPLOADS": "DBQUEUE['UPLOADS']['KEEP_FAILED']",
}

KEY = "UPLOADS"
current = section(UploadSettings, KEY)
